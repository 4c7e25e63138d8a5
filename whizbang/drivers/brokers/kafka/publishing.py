"""Publishing to Kafka with an idempotent producer."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from whizbang.drivers.brokers.base import BrokerMessage, Kind, Published
from whizbang.drivers.brokers.kafka.connection import Complaints, Connection, milliseconds
from whizbang.drivers.brokers.kafka.records import to_record
from whizbang.drivers.brokers.kafka.topics import Topics

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

logger = logging.getLogger(__name__)
_ROOM_SECONDS = 0.1  # how long one waits for room in a full queue before the deadline is looked at


class Publisher:
    """One producer, kept as long as all that it was given was confirmed or refused.

    Idempotence: the producer numbers what it sends to a partition, and the cluster takes no number twice
    and none after a gap. So retries inside the producer neither double nor reorder, and what arrives of a
    batch is always its beginning.

    That holds inside one producer only. What was not confirmed in time is sent again by the caller, behind
    which the old producer must not go on: its queue is purged and another one is made. A request that
    is on its way by then cannot be called back. If it arrives late, it holds the beginning of what is
    sent again, in the same order: the first copies of all stay in order, and the receiver's inbox knows
    the second ones by their id.
    """

    def __init__(self, connection: Connection, topics: Topics) -> None:
        self._connection, self._topics = connection, topics
        self._complaints = Complaints()
        self._producer: Producer | None = None
        self._is_one_by_one = False

    def publish(self, messages: Sequence[BrokerMessage]) -> Published:
        """See Broker.publish()."""
        deadline = time.monotonic() + self._connection.timeout_seconds
        report = _Report(len(messages), is_one_by_one=self._is_one_by_one)
        sent = self._refuse_unroutable(messages, report)
        if sent:
            self._send(sent, report, deadline)
        if report.unsettled == len(messages) > 0:
            problem = report.problem or f"nothing confirmed in {self._connection.timeout_seconds} s"
            raise self._connection.unavailable(problem, self._complaints)
        return Published(confirmed=frozenset(report.confirmed), refused=report.refused)

    def close(self) -> None:
        self._producer = None

    def _refuse_unroutable(
        self, messages: Sequence[BrokerMessage], report: _Report
    ) -> list[tuple[str, BrokerMessage]]:
        """The others, each with its topic. A missing topic of events is made: whoever listens later reads it
        from the start."""
        routed = [(self._topics.of(message), message) for message in messages]
        missing = self._topics.find_missing({topic for topic, _ in routed})
        events = {topic for topic, message in routed if message.kind is Kind.EVENT}
        self._topics.make_for_events(missing & events)
        for topic, message in routed:
            if topic in missing - events:
                report.refuse(message, _no_topic(topic, message))
        return [(topic, message) for topic, message in routed if topic not in missing - events]

    def _send(
        self, routed: Sequence[tuple[str, BrokerMessage]], report: _Report, deadline: float
    ) -> None:
        from confluent_kafka import KafkaException

        producer = self._connected()
        try:
            for topic, message in routed:
                if not self._enqueue(producer, topic, message, report, deadline):
                    break
            producer.flush(max(deadline - time.monotonic(), 0))
        except KafkaException as exc:  # it is of no use any more
            report.problem = report.problem or exc.args[0].str()
        finally:
            if report.unsettled:
                self._abandon(producer, report)
        for topic in report.gone:
            self._topics.forget(topic)

    def _enqueue(
        self,
        producer: Producer,
        topic: str,
        message: BrokerMessage,
        report: _Report,
        deadline: float,
    ) -> bool:
        """False when time is over before there was room."""
        from confluent_kafka import KafkaException

        on_delivery = partial(report.settle, message)
        while True:
            try:
                producer.produce(topic, on_delivery=on_delivery, **to_record(message))
                return True
            except BufferError:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                producer.poll(min(left, _ROOM_SECONDS))
            except KafkaException as exc:
                if exc.args[0].code() != exc.args[0].MSG_SIZE_TOO_LARGE:
                    raise
                limit = self._connection.options["max_message_bytes"]
                report.refuse(message, f"It is larger than max_message_bytes, {limit}.")
                return True

    def _abandon(self, producer: Producer, report: _Report) -> None:
        self._producer = None
        producer.purge()
        producer.flush(0)  # hears of what was confirmed in the last moment
        if report.is_batch_too_large:
            self._is_one_by_one = True
            logger.warning(
                "Kafka takes messages one by one only alias=%s: raise max.message.bytes of the topic "
                "above the option max_message_bytes",
                self._connection.alias,
            )

    def _connected(self) -> Producer:
        if self._producer is None:
            self._complaints = Complaints()
            self._producer = self._connection.producer(self._complaints, self._config())
        return self._producer

    def _config(self) -> dict[str, object]:
        config: dict[str, object] = {
            "acks": "all",
            "enable.idempotence": True,
            # The deadline of publish() is the only one: a producer that gives up one message of many
            # starts to number anew, and later ones of its partition pass it.
            "delivery.timeout.ms": 0,
            "topic.metadata.propagation.max.ms": milliseconds(self._connection.timeout_seconds / 2),
            "message.max.bytes": self._connection.options["max_message_bytes"],
            "partitioner": "murmur2_random",  # as the Java clients: a key has one place for all
            "linger.ms": 5,  # flush() does not wait for it
        }
        return {**config, "batch.num.messages": 1} if self._is_one_by_one else config


class _Report:
    """What became of the messages of one publish()."""

    def __init__(self, size: int, *, is_one_by_one: bool) -> None:
        self.unsettled = size
        self.confirmed: set[UUID] = set()
        self.refused: dict[UUID, str] = {}
        self.gone: set[str] = set()  # topics that were there before
        self.problem = ""  # the first one
        self.is_batch_too_large = False
        self._is_alone = is_one_by_one or size == 1

    def refuse(self, message: BrokerMessage, reason: str) -> None:
        self.refused[message.message_id] = reason
        self.unsettled -= 1

    def settle(self, message: BrokerMessage, error: KafkaError | None, record: Message) -> None:
        """The producer calls it once for each message, from flush() or poll()."""
        if error is None:
            self.confirmed.add(message.message_id)
            self.unsettled -= 1
        elif error.code() in (error.MSG_SIZE_TOO_LARGE, error.RECORD_LIST_TOO_LARGE):
            self._judge_size(message, error)
        elif error.code() not in (error._PURGE_QUEUE, error._PURGE_INFLIGHT):
            self.problem = self.problem or error.str()
            if error.code() in (
                error.UNKNOWN_TOPIC_OR_PART,
                error._UNKNOWN_TOPIC,
                error._UNKNOWN_PARTITION,
            ):
                # Perhaps of one broker only, and for a moment: the next publish() asks, and refuses.
                self.gone.add(str(record.topic()))

    def _judge_size(self, message: BrokerMessage, error: KafkaError) -> None:
        """The cluster refuses a request as a whole: which of several messages it means is not known."""
        if self._is_alone:
            self.refuse(message, f"The topic takes no message that large: {error.str()}")
        else:
            self.is_batch_too_large = True
            self.problem = self.problem or error.str()


def _no_topic(topic: str, message: BrokerMessage) -> str:
    return f"Topic {topic!r} does not exist: no service {message.destination!r} has declared it."
