"""Kafka as a broker: a topic a service and a topic a domain, by its client librdkafka."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from whizbang.drivers.brokers.base import (
    Broker,
    BrokerMessage,
    BrokerUnavailable,
    Delivery,
    Published,
    Topology,
)
from whizbang.drivers.brokers.kafka.connection import Connection
from whizbang.drivers.brokers.kafka.publishing import Publisher
from whizbang.drivers.brokers.kafka.receiving import Receiver
from whizbang.drivers.brokers.kafka.topics import Topics
from whizbang.drivers.telemetry.operations import Server
from whizbang.exceptions import WhizbangError

logger = logging.getLogger(__name__)


class KafkaBroker(Broker):
    """Messages in Kafka 2.5 or newer, by confluent-kafka (`django-whizbang[kafka]`).

    Commands and replies go to the topic PREFIX.service.SERVICE, keyed by their ordering key, events to
    PREFIX.events.DOMAIN, keyed by their stream. A service's receivers are the group PREFIX.SERVICE.

    With one partition a topic is in order as a whole. With more each stream and each ordering key is; events
    of a domain then have no order among each other, and each partition is a lane in which gaps are noticed.

    Kafka deletes by age, read or not: set the retention of topics, and `offsets.retention.minutes` of the
    cluster, to more than a service is ever down. A new group reads a topic from the oldest record on.
    """

    system: ClassVar[str] = "kafka"
    own_options: ClassVar[Mapping[str, Any]] = {
        "bootstrap_servers": "127.0.0.1:9092",  # several with commas between
        # More properties of librdkafka: security.protocol, sasl.username, sasl.password, ssl.ca.location.
        "security": {},
        "partitions": 1,  # of the topic of a service that is made; never changed afterwards
        "event_partitions": 1,  # of the topic of a domain; the same in the services that share it
        "replication_factor": 1,  # in production 3, and min.insync.replicas 2: with 1 a lost disk is lost data
        "max_message_bytes": 900_000,  # with its headers; topics of Kafka's take 1,048,588 unless told
        "session_timeout_seconds": 30.0,  # after which a receiver that died is missed
    }

    def __init__(
        self, *, using: str, alias: str = "default", options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(using=using, alias=alias, options=options)
        self._connection = Connection(alias, self.options)
        self._topics = Topics(self._connection)
        self._publisher = Publisher(self._connection, self._topics)
        self._topology: Topology | None = None
        self._receiver: Receiver | None = None

    @property
    def server(self) -> Server | None:
        """Of a cluster that is told by one address."""
        first, *others = str(self.options["bootstrap_servers"]).split(",")
        address, _, port = first.strip().rpartition(":")
        if others or not address or not port.isdecimal():
            return None
        return Server(address.strip("[]"), int(port))

    def destination_of(self, message: BrokerMessage) -> str:
        return self._topics.of(message)

    @property
    def group(self) -> str:
        return "" if self._topology is None else self._topics.group_of(self._topology.service)

    def source_of(self, delivery: Delivery) -> str:
        return str(delivery.token.place[0])

    def declare(self, topology: Topology) -> None:
        if self._topology not in (None, topology):
            self._leave()  # what it is subscribed to is another's
        self._topology = topology
        self._topics.declare(topology)

    def publish(self, messages: Sequence[BrokerMessage]) -> Published:
        return self._publisher.publish(messages)

    def lane_of(self, domain: str, stream: str) -> str:
        return self._topics.lane_of(domain, stream)

    def receive(self, *, limit: int, timeout_seconds: float) -> list[Delivery]:
        if self._receiver is None:
            self._receiver = self._joined()
        try:
            return self._receiver.receive(limit=limit, timeout_seconds=timeout_seconds)
        except BrokerUnavailable:
            self._leave()
            raise

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        if self._receiver is None:
            logger.info("What was received before a close comes again alias=%s", self.alias)
            return
        try:
            self._receiver.acknowledge(deliveries)
        except BrokerUnavailable:
            self._leave()
            raise

    def close(self) -> None:
        self._leave()
        self._publisher.close()
        self._topics.close()

    def _joined(self) -> Receiver:
        topology = self._topology
        if topology is None:
            raise WhizbangError(
                f"Broker {self.alias!r} receives nothing yet: call declare() first."
            )
        names = [self._topics.of_service(topology.service)]
        names += [self._topics.of_domain(domain) for domain in topology.listens_to]
        return Receiver(self._connection, self._topics, topology.service, names)

    def _leave(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.close()
