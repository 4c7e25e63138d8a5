"""The contract of a telemetry driver: spans and metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from typing import NamedTuple

Attributes = Mapping[str, str | int]


class SpanKind(Enum):
    """What a span is to those of other processes."""

    PRODUCER = "producer"  # makes what others will handle
    CLIENT = "client"  # asks a server
    CONSUMER = "consumer"  # handles what others have made


class Subject(NamedTuple):
    """A message that a span is about: the W3C traceparent that it carries, and what is known of it."""

    traceparent: str | None
    attributes: Attributes


class Gauge(NamedTuple):
    """What is measured; the unit is one of UCUM, such as s or {event}."""

    name: str
    unit: str
    description: str


class Counter(NamedTuple):
    """What is counted; see Gauge."""

    name: str
    unit: str
    description: str


class Histogram(NamedTuple):
    """What is recorded value by value; see Gauge. `buckets` are their upper bounds."""

    name: str
    unit: str
    description: str
    buckets: tuple[float, ...] = ()


class Reading(NamedTuple):
    """One value of a gauge, and of what it is the value."""

    value: float
    attributes: Attributes


class Telemetry(ABC):
    """Opens spans and tells metrics to some product. Raises nothing: what fails in it is logged."""

    @abstractmethod
    def is_enabled(self) -> bool:
        """Does anybody collect spans or metrics in this process? Asked for every message: must be cheap."""

    @abstractmethod
    def span(
        self,
        name: str,
        *,
        kind: SpanKind,
        subjects: Iterable[Subject] = (),
        attributes: Attributes,
        started_ns: int | None = None,
    ) -> AbstractContextManager[str | None]:
        """A span around a block, which may have begun before; gives its W3C traceparent, None without one.

        It is linked to its subjects, and is a part of what is going on in this thread. Where nothing is, and
        all subjects are of one trace, it goes on from the first of them. What is known of an only subject is said
        of the span itself too. Of an error of the block its class is told, and no text, which may have values.
        """

    @abstractmethod
    def stage_finished(
        self, stage: str, type_name: str, duration_seconds: float, error: BaseException | None
    ) -> None:
        """A stage of the pipeline has ended: an event of the current span, and a metric."""

    @abstractmethod
    def add(self, counter: Counter, amount: int, attributes: Attributes) -> None:
        """Count so many more."""

    @abstractmethod
    def record(self, histogram: Histogram, value: float, attributes: Attributes) -> None:
        """Record one value."""

    @abstractmethod
    def collects_metrics(self) -> bool:
        """Does anybody collect metrics in this process?"""

    @abstractmethod
    def set_gauges(self, source: str, readings: Mapping[Gauge, Sequence[Reading]]) -> None:
        """What gauges say from now on, in place of what this source said; without a reading they say nothing."""


class NoTelemetry(Telemetry):
    """Where no product is installed."""

    def is_enabled(self) -> bool:
        return False

    def span(
        self,
        name: str,
        *,
        kind: SpanKind,
        subjects: Iterable[Subject] = (),
        attributes: Attributes,
        started_ns: int | None = None,
    ) -> AbstractContextManager[str | None]:
        return nullcontext()

    def stage_finished(
        self, stage: str, type_name: str, duration_seconds: float, error: BaseException | None
    ) -> None:
        """Nobody listens."""

    def add(self, counter: Counter, amount: int, attributes: Attributes) -> None:
        """Nobody counts."""

    def record(self, histogram: Histogram, value: float, attributes: Attributes) -> None:
        """Nobody records."""

    def collects_metrics(self) -> bool:
        return False

    def set_gauges(self, source: str, readings: Mapping[Gauge, Sequence[Reading]]) -> None:
        """Nobody listens."""
