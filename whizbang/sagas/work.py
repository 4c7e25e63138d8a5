"""What a saga's methods ask for while one message or timeout is handled; nothing is done yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from whizbang.exceptions import WhizbangError
from whizbang.messages.base import Command
from whizbang.messages.metadata import Metadata


@dataclass(frozen=True, slots=True)
class Sending:
    """A command to send, and when."""

    command: Command[Any]
    delay: timedelta | None
    at: datetime | None
    ordering_key: str | None


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a timeout is due: some time from now on the database's clock, or at an instant."""

    after: timedelta | None
    at: datetime | None

    def due_at(self, now: datetime) -> datetime:
        return self.at if self.at is not None else now + (self.after or timedelta())


@dataclass(slots=True)
class Work:
    """Collects, in order, what the methods ask for."""

    metadata: Metadata  # of the message, or of the timeout
    sent: list[Sending] = field(default_factory=list)
    timeouts: dict[str, Deadline | None] = field(default_factory=dict)  # None: cancelled
    compensations: list[Command[Any]] = field(default_factory=list)
    is_complete: bool = False
    failure: str | None = None

    @property
    def is_over(self) -> bool:
        return self.is_complete or self.failure is not None

    def check_open(self) -> None:
        """Raises WhizbangError once complete() or fail() was called."""
        if self.is_over:
            raise WhizbangError(
                "complete() or fail() was called before: what a saga still has to send or to wait for comes "
                "first."
            )
