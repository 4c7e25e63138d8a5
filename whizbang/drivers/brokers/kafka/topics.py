"""The topics of services and domains in Kafka: their names, and making and checking them."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from whizbang.drivers.brokers.base import BrokerMessage, Kind, Topology
from whizbang.drivers.brokers.kafka.connection import Complaints, Connection
from whizbang.drivers.brokers.kafka.partitioner import partition_of
from whizbang.exceptions import WhizbangError

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

_LEGAL_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
_LOOK_AGAIN_SECONDS = 0.05


class Topics:
    """Knows which topics there are; asks the cluster about those that it has not seen yet."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._options = connection.options
        self._complaints = Complaints()
        self._partitions: dict[str, int] = {}  # of every topic that was seen
        self._admin: AdminClient | None = None

    def of_service(self, service: str) -> str:
        return self._name("service", service)

    def of_domain(self, domain: str) -> str:
        return self._name("events", domain)

    def group_of(self, service: str) -> str:
        """The group of a service's receivers."""
        return f"{self._options['prefix']}.{service}"

    def of(self, message: BrokerMessage) -> str:
        if message.kind is Kind.EVENT:
            return self.of_domain(message.destination)
        return self.of_service(message.destination)

    def lane_of(self, domain: str, stream: str) -> str:
        """The number of the partition that a stream's events go to; "" where there is one only."""
        count = self._partitions.get(self.of_domain(domain), 1)
        return str(partition_of(stream.encode(), count)) if count > 1 else ""

    def meaning_of(self, topic: str) -> tuple[bool, str]:
        """Whether a topic is for events, and the domain or service that it is for."""
        section, _, name = topic.removeprefix(f"{self._options['prefix']}.").partition(".")
        return section == "events", name

    def declare(self, topology: Topology) -> None:
        """See Broker.declare(). Only what is this service's own is checked: others size theirs."""
        commands, events = self._options["partitions"], self._options["event_partitions"]
        own = {self.of_service(topology.service): commands}
        own |= {self.of_domain(domain): events for domain in topology.owns}
        others = {self.of_service(peer): commands for peer in topology.peers}
        others |= {self.of_domain(domain): events for domain in topology.listens_to}
        self._look()
        wanted = {**others, **own}
        self._create({name: n for name, n in wanted.items() if name not in self._partitions})
        for name, partitions in own.items():
            self._check(name, partitions)

    def find_missing(self, names: Collection[str]) -> set[str]:
        """Those that do not exist.

        Asked before a producer hears of a name: many clusters make a topic that is asked for, and a command
        for a service that nobody has declared would wait there for ever.
        """
        if unseen := set(names) - self._partitions.keys():
            self._look()
            unseen -= self._partitions.keys()
        return unseen

    def make_for_events(self, names: Collection[str]) -> None:
        self._create(dict.fromkeys(names, self._options["event_partitions"]))

    def forget(self, name: str) -> None:
        """It was seen, and is gone."""
        self._partitions.pop(name, None)

    def close(self) -> None:
        self._admin = None
        self._partitions.clear()

    def _look(self) -> None:
        from confluent_kafka import KafkaException

        try:
            # All of them: one that is asked for by name may be made by that.
            found = self._client().list_topics(timeout=self._connection.timeout_seconds).topics
        except KafkaException as exc:
            # What its connections complain of, such as a certificate, it hands over in here only.
            self._client().poll(0)
            raise self._unavailable(exc) from None
        self._partitions = {
            name: len(topic.partitions) for name, topic in found.items() if topic.error is None
        }

    def _create(self, wanted: Mapping[str, int]) -> None:
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

        if not wanted:
            return
        limit = self._connection.timeout_seconds
        replicas = self._options["replication_factor"]
        new = [NewTopic(name, n, replicas) for name, n in wanted.items()]
        answers = self._client().create_topics(new, operation_timeout=limit, request_timeout=limit)
        for name, answer in answers.items():
            try:
                answer.result()
            except KafkaException as exc:
                # Another one made it at the same moment: as good.
                if exc.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    problem = f"topic {name!r} cannot be made: {exc.args[0].str()}"
                    raise self._unavailable(problem) from None
        self._await(wanted)

    def _await(self, names: Collection[str]) -> None:
        """Until the cluster tells of topics that it has made."""
        deadline = time.monotonic() + self._connection.timeout_seconds
        while missing := self.find_missing(names):
            if time.monotonic() > deadline:
                raise self._unavailable(f"topic {min(missing)!r} was made and does not appear")
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _check(self, name: str, partitions: int) -> None:
        found = self._partitions[name]
        if found < partitions:
            raise WhizbangError(
                f"Topic {name!r} of broker {self._connection.alias!r} has {found} partition(s), and "
                f"{partitions} are wanted: lower the option, or let its receivers catch up, stop its "
                f"senders, and run kafka-topics.sh --alter --topic {name} --partitions {partitions} "
                "(keys move to other partitions then, and what waits in the old ones loses its order)."
            )

    def _name(self, section: str, name: str) -> str:
        topic = f"{self._options['prefix']}.{section}.{name}"
        if not _LEGAL_NAME.fullmatch(topic):
            raise WhizbangError(
                f"{topic!r} is no name for a topic in Kafka: it takes up to 249 letters, digits, dots, "
                "dashes and underscores. Rename the service or domain, or change the prefix."
            )
        return topic

    def _client(self) -> AdminClient:
        if self._admin is None:
            self._complaints = Complaints()
            self._admin = self._connection.admin(self._complaints)
        return self._admin

    def _unavailable(self, problem: Exception | str) -> Exception:
        self.close()
        return self._connection.unavailable(problem, self._complaints)
