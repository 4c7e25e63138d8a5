"""The contract of a tracing driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext


class Telemetry(ABC):
    """Opens spans in some tracing product."""

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


class NoTelemetry(Telemetry):
    """Where no tracing product is installed."""

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
