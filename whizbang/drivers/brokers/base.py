"""The contract of a broker driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """A message on its way to another service; payload and metadata are JSON."""

    service: str
    message_id: UUID
    type: str
    schema: int
    payload: bytes
    metadata: bytes
    occurred_at: datetime
    ordering_key: str | None
    available_at: datetime
    expires_at: datetime | None


class Broker(ABC):
    """Carries messages between services, at least once."""

    def __init__(self, *, using: str, options: dict[str, Any] | None = None) -> None:
        self.using = using
        self.options = dict(options or {})

    @abstractmethod
    def publish(self, messages: Sequence[OutgoingMessage]) -> set[UUID]:
        """Publish in order and wait for the confirms; gives the ids that are safe with the broker."""
