"""Messaging operations as spans and metrics, as OpenTelemetry's conventions have them.

https://opentelemetry.io/docs/specs/semconv/messaging/ (1.44, in development)
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from whizbang.drivers.telemetry import names, telemetry
from whizbang.drivers.telemetry.base import Attributes, Counter, Histogram, SpanKind, Subject

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
OPERATION_DURATION = Histogram(
    "messaging.client.operation.duration", "s", "Time of an operation with messages", _SECONDS
)
PROCESS_DURATION = Histogram(
    "messaging.process.duration", "s", "Time of handling a message or a batch", _SECONDS
)
SENT = Counter("messaging.client.sent.messages", "{message}", "Messages that were sent or stored")
CONSUMED = Counter(
    "messaging.client.consumed.messages", "{message}", "Messages that were given to a receiver"
)
NOTHING: AbstractContextManager[str | None] = nullcontext()  # is told, where nobody collects


class OperationType(StrEnum):
    CREATE = "create"  # the message is made; its context is this one's
    SEND = "send"
    RECEIVE = "receive"
    PROCESS = "process"
    SETTLE = "settle"


_KINDS = {
    OperationType.CREATE: SpanKind.PRODUCER,
    OperationType.SEND: SpanKind.CLIENT,  # not PRODUCER: messages carry the context they were made in
    OperationType.RECEIVE: SpanKind.CLIENT,
    OperationType.PROCESS: SpanKind.CONSUMER,
    OperationType.SETTLE: SpanKind.CLIENT,
}
_COUNTERS = {
    OperationType.CREATE: SENT,
    OperationType.SEND: SENT,
    OperationType.RECEIVE: CONSUMED,
    OperationType.PROCESS: CONSUMED,
}


class Server(NamedTuple):
    """Where a product answers."""

    address: str
    port: int | None = None

    def __str__(self) -> str:
        return self.address if self.port is None else f"{self.address}:{self.port}"


class Moment(NamedTuple):
    """On the clock that the world has, and on one that is never set back."""

    wall_ns: int
    seconds: float

    @classmethod
    def now(cls) -> Moment:
        return cls(time.time_ns(), time.perf_counter())


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What is done with messages, and where. All of it has low cardinality."""

    name: str
    type: OperationType
    destination: str = ""  # empty: several, or none
    system: str = names.OWN_SYSTEM
    server: Server | None = None
    is_batch: bool = True  # may it be done with many at once?
    details: Mapping[str, str] = field(default_factory=dict)  # more attributes

    @property
    def span_name(self) -> str:
        where = self.destination or ("" if self.server is None else str(self.server))
        return f"{self.name} {where}" if where else self.name

    def attributes(self) -> dict[str, str | int]:
        """Those of its span and of its metrics."""
        found: dict[str, str | int] = {
            names.SYSTEM: self.system,
            names.OPERATION_NAME: self.name,
            names.OPERATION_TYPE: self.type.value,
            **self.details,
        }
        if self.destination:
            found[names.DESTINATION] = self.destination
        if self.server is not None:
            found[names.SERVER_ADDRESS] = self.server.address
            if self.server.port is not None:
                found[names.SERVER_PORT] = self.server.port
        return found


def subject_of(
    message_id: object, conversation_id: object, traceparent: str | None, **details: str
) -> Subject:
    """A message that is worked on; the conversation is its correlation id."""
    attributes: Attributes = {
        names.MESSAGE_ID: str(message_id),
        names.CONVERSATION_ID: str(conversation_id),
    }
    return Subject(traceparent, {**attributes, **details} if details else attributes)


@contextmanager
def telling(
    operation: Operation,
    subjects: Iterable[Subject],
    *,
    count: int,
    started: Moment | None = None,
) -> Iterator[str | None]:
    """Tell of an operation with `count` messages around its block; gives its span's traceparent.

    For where somebody collects: ask `telemetry.is_enabled()` before. `started`: when it began before.
    """
    started = started or Moment.now()
    attributes = operation.attributes()
    span = telemetry.span(
        operation.span_name,
        kind=_KINDS[operation.type],
        subjects=subjects,
        attributes=_with_count(attributes, count) if operation.is_batch else attributes,
        started_ns=started.wall_ns,
    )
    try:
        with span as traceparent:
            yield traceparent
    except BaseException as exc:
        attributes[names.ERROR_TYPE] = type(exc).__qualname__
        raise
    finally:
        _measure(operation, attributes, count, time.perf_counter() - started.seconds)


def _with_count(attributes: Attributes, count: int) -> Attributes:
    return {**attributes, names.BATCH_COUNT: count}


def _measure(operation: Operation, attributes: Attributes, count: int, seconds: float) -> None:
    is_handling = operation.type is OperationType.PROCESS
    telemetry.record(PROCESS_DURATION if is_handling else OPERATION_DURATION, seconds, attributes)
    counter = _COUNTERS.get(operation.type)
    if counter is not None:
        telemetry.add(counter, count, attributes)
