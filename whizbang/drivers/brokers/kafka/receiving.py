"""Receiving from Kafka as a member of the group of a service."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from whizbang.drivers.brokers.base import Delivery, Malformed
from whizbang.drivers.brokers.kafka.calls import Calls
from whizbang.drivers.brokers.kafka.connection import Complaints, Connection, milliseconds
from whizbang.drivers.brokers.kafka.records import to_message
from whizbang.drivers.brokers.kafka.topics import Topics

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

logger = logging.getLogger(__name__)
# How long handling what one receive() gave may take. A receiver that takes longer loses its partitions.
_MAX_HANDLING_SECONDS = 900.0
_epochs = count(1)


@dataclass(frozen=True, slots=True)
class _Token:
    place: tuple[str, int]  # topic and partition
    offset: int
    epoch: int  # of the assignment of the partition


class Receiver:
    """A member of a group, from its first receive() to close(); it is not used again after an error.

    A partition that goes away may be another's before what it gave is acknowledged, and it may come back
    after the other has gone further: an offset that is committed then is a step back, or skips what is
    not stored. So each assignment has a number, and only what the present one gave is committed. The
    rest comes again to whoever has the partition.
    """

    def __init__(
        self, connection: Connection, topics: Topics, service: str, names: list[str]
    ) -> None:
        """`names`: the topics. Joins the group. Raises BrokerUnavailable."""
        self._connection, self._topics = connection, topics
        self._complaints = Complaints()
        self._calls = Calls()
        self._assigned: dict[tuple[str, int], int] = {}  # epoch by topic and partition
        config = self._config(topics.group_of(service))
        self._consumer = connection.consumer(self._complaints, config)
        self._join(names)

    def receive(self, *, limit: int, timeout_seconds: float) -> list[Delivery]:
        """See Broker.receive()."""
        self._complaints.is_severe = False
        first = self._consumer.poll(timeout_seconds)
        records = [] if first is None else [first]
        if records and limit > 1:
            # What has arrived already; with a time it would wait until there are as many.
            records += self._consumer.consume(limit - 1, 0)
        for record in records:
            if (error := record.error()) is not None:
                raise self._connection.unavailable(error.str(), self._complaints)
        if not records and self._complaints.is_severe:
            raise self._connection.unavailable("no answer", self._complaints)
        return [self._to_delivery(record) for record in records if self._is_ours(record)]

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """See Broker.acknowledge()."""
        highest: dict[tuple[str, int], int] = {}
        for token in [delivery.token for delivery in deliveries]:
            if self._assigned.get(token.place) == token.epoch:
                highest[token.place] = max(token.offset, highest.get(token.place, 0))
        if highest:
            self._commit(highest)

    def close(self) -> None:
        """Leave the group, so that others need not wait until this member is missed."""
        limit = self._connection.timeout_seconds
        try:
            self._calls.run(self._consumer.close, timeout_seconds=limit)
        except TimeoutError:
            logger.warning(
                "Kafka consumer left without an answer alias=%s after_seconds=%s",
                self._connection.alias,
                limit,
            )
        self._calls.end()

    def _commit(self, highest: dict[tuple[str, int], int]) -> None:
        from confluent_kafka import KafkaException, TopicPartition

        offsets = [TopicPartition(*place, offset + 1) for place, offset in highest.items()]
        limit = self._connection.timeout_seconds
        try:
            answers = self._calls.run(
                lambda: self._consumer.commit(offsets=offsets, asynchronous=False),
                timeout_seconds=limit,
            )
        except TimeoutError:
            problem = f"a commit was not answered in {limit} s"
            raise self._connection.unavailable(problem, self._complaints) from None
        except KafkaException as exc:
            self._judge(exc)
        else:
            for answer in answers:
                if answer.error is not None:
                    self._judge(KafkaException(answer.error))

    def _judge(self, exc: KafkaException) -> None:
        """An error that says the group has gone on without us is none: all comes again to the others."""
        error = exc.args[0]
        gone = {error.ILLEGAL_GENERATION, error.UNKNOWN_MEMBER_ID, error.REBALANCE_IN_PROGRESS}
        if error.code() not in gone:
            raise self._connection.unavailable(exc, self._complaints) from None
        logger.info("Kafka did not take offsets alias=%s: %s", self._connection.alias, error.str())

    def _join(self, names: list[str]) -> None:
        from confluent_kafka import KafkaException

        try:
            # librdkafka would wait for ever for a cluster that is not there.
            self._consumer.list_topics(names[0], timeout=self._connection.timeout_seconds)
            self._consumer.subscribe(
                names, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke
            )
        except KafkaException as exc:
            problem = self._connection.unavailable(exc, self._complaints)
            self.close()
            raise problem from None

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self._assigned[partition.topic, partition.partition] = next(_epochs)

    def _revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self._assigned.pop((partition.topic, partition.partition), None)

    def _is_ours(self, record: Message) -> bool:
        """Not when its partition went away within the call that gave it."""
        return _place_of(record) in self._assigned

    def _to_delivery(self, record: Message) -> Delivery:
        place = _place_of(record)
        token = _Token(place, record.offset() or 0, self._assigned[place])
        is_event, name = self._topics.meaning_of(place[0])
        try:
            message = to_message(record, is_event=is_event, name=name)
        except Malformed as exc:
            raw = record.value() or b""
            return Delivery(message=None, problem=str(exc), raw=raw, token=token)
        return Delivery(message=message, token=token)

    def _config(self, group: str) -> dict[str, object]:
        session = self._connection.options["session_timeout_seconds"]
        return {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            # Most topics have one partition: by range the first member would have all of them.
            "partition.assignment.strategy": "roundrobin",
            "session.timeout.ms": milliseconds(session),
            "max.poll.interval.ms": milliseconds(max(_MAX_HANDLING_SECONDS, session)),
        }


def _place_of(record: Message) -> tuple[str, int]:
    return str(record.topic()), int(record.partition() or 0)
