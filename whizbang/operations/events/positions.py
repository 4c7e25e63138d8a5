"""Which part of the log was recorded when: time ascends with positions, so that no index by time is needed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Max, Subquery

from whizbang.models import StoredEvent

_PROBES = 15  # a statement: seven of them find the place among ten million events


def last_position_before(instant: datetime, *, using: str) -> int:
    """The position up to which events were recorded before an instant; 0 when none was.

    To within what writers of the same moment did: positions are drawn a little before events are recorded, or
    after.
    """
    events = StoredEvent.objects.using(using)
    last = events.aggregate(last=Max("position"))["last"] or 0
    low, high = 0, last + 1  # what is at low or below was before, what is at high or above was not
    while high - low > 1:
        probes = _between(low, high)
        for position, recorded_at in zip(probes, _recorded_from(events, last, probes), strict=True):
            if recorded_at is None or recorded_at >= instant:
                high = position
                break
            low = position
    return low


def _between(low: int, high: int) -> list[int]:
    step = max((high - low) // (_PROBES + 1), 1)
    return list(range(low + step, high, step))[:_PROBES]


def _recorded_from(events: Any, last: int, positions: list[int]) -> tuple[datetime | None, ...]:
    """When the first event at each position, or behind it, was recorded; by one statement."""
    ordered = events.order_by("position")
    columns = {
        f"probe_{number}": Subquery(
            ordered.filter(position__gte=position).values("recorded_at")[:1]
        )
        for number, position in enumerate(positions)
    }
    found = events.filter(position=last).annotate(**columns)
    row = found.values_list(*columns).first()
    return tuple(row) if row is not None else (None,) * len(positions)
