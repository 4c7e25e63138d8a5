"""An event store as simple as can be, in memory: what the drivers are held against."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from whizbang.drivers.stores.base import (
    ANY,
    STREAM_EXISTS,
    LogFilter,
    Placed,
    RowsOfStream,
    StoredRow,
)

BY_POSITION = attrgetter("position")


class Known(NamedTuple):
    """One event as the model keeps it: what a reader gets, and its slice."""

    position: int
    stream: str
    version: int
    type: str
    payload: bytes
    occurred_at: datetime
    recorded_at: datetime
    slice: int

    def is_told_by(self, row: StoredRow) -> bool:
        """Does a reader's row say the same? Payloads are compared by whoever can decode them."""
        return self[:4] == row[:4] and self[5:7] == (row.occurred_at, row.recorded_at)


class StoreModel:
    """Committed events, and what each session has written in its open blocks, outermost first."""

    def __init__(self) -> None:
        self.committed: list[Known] = []
        self._blocks: dict[str, list[list[Known]]] = {}

    # Transactions: the outermost block is one, those inside it are savepoints.

    def depth(self, session: str) -> int:
        return len(self._blocks.get(session, []))

    def open_sessions(self) -> list[str]:
        return [session for session, blocks in self._blocks.items() if blocks]

    def begin(self, session: str) -> None:
        self._blocks.setdefault(session, []).append([])

    def end(self, session: str, *, is_commit: bool) -> None:
        """End the innermost block."""
        written = self._blocks[session].pop()
        if is_commit:
            self._write(session, written)

    def pending(self, session: str) -> list[Known]:
        return [event for block in self._blocks.get(session, []) for event in block]

    def _write(self, session: str, events: Sequence[Known]) -> None:
        blocks = self._blocks.get(session)
        target = blocks[-1] if blocks else self.committed
        target.extend(events)
        target.sort(key=BY_POSITION)

    # Appends

    def version(self, session: str, stream: str) -> int:
        return max((e.version for e in self.view(session) if e.stream == stream), default=0)

    def conflicts(self, session: str, streams: Sequence[RowsOfStream]) -> set[str]:
        """The streams that are not where the append expects them."""
        return {s.stream for s in streams if s.rows and not self._is_met(session, s)}

    def _is_met(self, session: str, item: RowsOfStream) -> bool:
        version = self.version(session, item.stream)
        if item.expected is ANY:
            return True
        return version > 0 if item.expected is STREAM_EXISTS else version == item.expected

    def add(
        self, session: str, streams: Sequence[RowsOfStream], placed: Sequence[Sequence[Placed]]
    ) -> None:
        """Take in what a driver says it stored, and where."""
        for item, places in zip(streams, placed, strict=True):
            first = self.version(session, item.stream) + 1
            assert [p.version for p in places] == list(range(first, first + len(item.rows)))
            events = [
                Known(
                    place.position,
                    item.stream,
                    place.version,
                    row.type,
                    row.payload,
                    row.occurred_at,
                    place.recorded_at,
                    row.slice,
                )
                for row, place in zip(item.rows, places, strict=True)
            ]
            self._write(session, events)

    # Reads

    def view(self, session: str) -> list[Known]:
        """What is committed by now, and the session's own, by position."""
        return sorted([*self.committed, *self.pending(session)], key=BY_POSITION)

    def stream(self, session: str, name: str) -> list[Known]:
        found = [event for event in self.view(session) if event.stream == name]
        return sorted(found, key=attrgetter("version"))


def is_wanted(event: Known, filter: LogFilter) -> bool:
    """What a filter of the log means."""
    return (
        (filter.types is None or event.type in filter.types)
        and (filter.categories is None or event.stream.partition("-")[0] in filter.categories)
        and (filter.slices is None or event.slice in filter.slices)
        and (filter.streams is None or event.stream in filter.streams)
        and (filter.since is None or event.recorded_at >= filter.since)
        and (filter.before is None or event.recorded_at < filter.before)
        and (filter.occurred_since is None or event.occurred_at >= filter.occurred_since)
        and (filter.occurred_before is None or event.occurred_at < filter.occurred_before)
    )
