"""Setting aside what one subscription cannot apply, and taking it up again in order."""

from __future__ import annotations

from typing import Protocol

from django.db.models import F

from whizbang.messages.text import error_text, traceback_text
from whizbang.models import ParkedStream
from whizbang.subscriptions.partitioning import WHOLE, SliceRange


def parked_streams(subscription: str, *, using: str) -> set[str]:
    rows = ParkedStream.objects.using(using).filter(subscription=subscription)
    return set(rows.values_list("stream", flat=True))


class Place(Protocol):
    """Where an event stands: a stored row, or what is left of one."""

    @property
    def stream(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def type(self) -> str: ...


def park(
    subscription: str,
    row: Place,
    error: Exception,
    *,
    using: str,
    key: str | None = None,
    slices: SliceRange = WHOLE,
) -> None:
    """Set a stream aside from this event on; the subscription goes on with the others.

    With `key`, a key's name, that key and not the stream. `slices`: of the keys that it concerns.
    """
    ParkedStream.objects.using(using).create(
        subscription=subscription,
        unit=ParkedStream.Unit.STREAM if key is None else ParkedStream.Unit.KEY,
        key=key or "",
        first_slice=slices.first,
        end_slice=slices.end,
        stream=row.stream,
        position=row.position,
        version=row.version,
        type=row.type,
        **_story_of(error),
    )


def park_again(parked: ParkedStream, row: Place, error: Exception, *, using: str) -> None:
    """A retry failed: keep it set aside, at the event that fails now."""
    ParkedStream.objects.using(using).filter(pk=parked.pk).update(
        stream=row.stream,
        position=row.position,
        version=row.version,
        type=row.type,
        **_story_of(error),
        attempts=F("attempts") + 1,
        is_retry_requested=False,
    )


def _story_of(error: Exception) -> dict[str, str]:
    return {
        "error": error_text(error),
        "traceback": traceback_text(error),
    }
