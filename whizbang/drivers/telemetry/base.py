"""The contract of a telemetry driver: spans and metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple


class Gauge(NamedTuple):
    """What is measured; the unit is one of UCUM, such as s or {event}."""

    name: str
    unit: str
    description: str


class Reading(NamedTuple):
    """One value of a gauge, and of what it is the value."""

    value: float
    attributes: Mapping[str, str]


class Telemetry(ABC):
    """Opens spans and tells metrics to some product."""

    @abstractmethod
    def is_enabled(self) -> bool:
        """Does anybody collect spans in this process? Asked for every message: must be cheap."""

    @abstractmethod
    def span(
        self, name: str, *, parent: str | None, attributes: Mapping[str, str]
    ) -> AbstractContextManager[str | None]:
        """A span around a block; gives its W3C traceparent. Errors of the block are recorded."""

    @abstractmethod
    def stage_finished(
        self, stage: str, type_name: str, duration_seconds: float, error: BaseException | None
    ) -> None:
        """A stage of the pipeline has ended: an event of the current span, and a metric."""

    @abstractmethod
    def collects_metrics(self) -> bool:
        """Does anybody collect metrics in this process?"""

    @abstractmethod
    def set_gauges(self, readings: Mapping[Gauge, Sequence[Reading]]) -> None:
        """What gauges say from now on, in place of what they said; one that is not there says nothing."""


class NoTelemetry(Telemetry):
    """Where no product is installed."""

    def is_enabled(self) -> bool:
        return False

    def span(
        self, name: str, *, parent: str | None, attributes: Mapping[str, str]
    ) -> AbstractContextManager[str | None]:
        return nullcontext(parent)

    def stage_finished(
        self, stage: str, type_name: str, duration_seconds: float, error: BaseException | None
    ) -> None:
        """Nobody listens."""

    def collects_metrics(self) -> bool:
        return False

    def set_gauges(self, readings: Mapping[Gauge, Sequence[Reading]]) -> None:
        """Nobody listens."""
