"""Tells at which event a projection's code failed, without changing its error."""

from __future__ import annotations

from typing import NamedTuple

from whizbang.messages.metadata import Metadata


class FailingEvent(NamedTuple):
    """The place of an event that a projection could not apply."""

    stream: str
    position: int
    version: int
    type: str


def mark_failing(error: Exception, meta: Metadata) -> None:
    """Note the event at which an error came up, once."""
    if failing_event(error) is None:
        place = FailingEvent(meta.stream, meta.position, meta.version, meta.type)
        error.__whizbang_event__ = place  # type: ignore[attr-defined]


def failing_event(error: Exception) -> FailingEvent | None:
    found: FailingEvent | None = getattr(error, "__whizbang_event__", None)
    return found
