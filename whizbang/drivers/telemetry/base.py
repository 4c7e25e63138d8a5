"""The contract of a tracing driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager


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
