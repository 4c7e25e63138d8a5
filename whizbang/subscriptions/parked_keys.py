"""Which keys a partition may apply: those of its slices, but for what is parked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from whizbang.models import ParkedStream
from whizbang.subscriptions.partitioning import (
    KeyFilter,
    Origin,
    SliceRange,
    name_of_key,
    slice_of_key,
)


class Unparked:
    """The keys of some slices that are not set aside where an event stands; see `KeyFilter`."""

    def __init__(self, slices: SliceRange, parked: Iterable[ParkedStream]) -> None:
        self.slices = slices
        self.keys: dict[str, int] = {}  # name -> position from which on it is parked
        self._streams: dict[str, list[tuple[SliceRange, int]]] = {}
        for row in parked:
            if row.unit == ParkedStream.Unit.KEY:
                self.keys[row.key] = row.position
            else:
                part = SliceRange(row.first_slice, row.end_slice)
                self._streams.setdefault(row.stream, []).append((part, row.position))

    def takes(self, key: Any, event: Origin) -> bool:
        if self.keys and event.position >= self.keys.get(name_of_key(key), event.position + 1):
            return False
        if self.slices.is_whole and not self._streams:
            return True
        at = slice_of_key(key)
        return self.slices.contains(at) and not any(
            part.contains(at) for part in self._parked_parts(event)
        )

    def may_take(self, event: Origin) -> bool:
        """Is its stream parked for some of the slices at most? Else it need not be decoded."""
        return event.stream not in self._streams or next(self.left_of(event), None) is not None

    def left_of(self, event: Origin) -> Iterator[SliceRange]:
        """The slices for which the event's stream is not parked."""
        return self.slices.without(self._parked_parts(event))

    def _parked_parts(self, event: Origin) -> list[SliceRange]:
        return [p for p, since in self._streams.get(event.stream, ()) if event.position >= since]


class OneKey:
    """One key among those that another filter takes; see `KeyFilter`."""

    def __init__(self, name: str, others: KeyFilter) -> None:
        self._name, self._others = name, others

    def takes(self, key: Any, event: Origin) -> bool:
        return name_of_key(key) == self._name and self._others.takes(key, event)
