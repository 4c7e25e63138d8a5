"""Which events a command has caused: the log has no index of causes, so a bounded part of it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from whizbang.store.event_store import EventStore

_PAGE_EVENTS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """An event that a command has caused; `service` is where it was recorded."""

    type: str
    stream: str
    version: int
    position: int
    service: str


class Sent(NamedTuple):
    """The commands of one step, and where in the log the step stands."""

    position: int
    ids: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class Effects:
    """What was found by the command's id, and the steps behind which more of the log is left unread."""

    by_command: dict[UUID, list[Effect]]
    cut: frozenset[int]  # positions of these steps


def find_effects(store: EventStore, sent: Sequence[Sent], *, most: int) -> Effects:
    """Read at least `most` events behind each step, to the log's end at most, and no event twice.

    Takes steps in the order of their positions.
    """
    search = _Search(store, most)
    for step in sent:
        search.read_until(step.position)
        search.begin(step)
    search.read_until(None)
    return Effects(search.found, frozenset(search.cut))


class _Search:
    def __init__(self, store: EventStore, most: int) -> None:
        self.found: dict[UUID, list[Effect]] = {}
        self.cut: set[int] = set()
        self._store, self._most = store, most
        self._head = store.head()
        self._position = self._left = 0
        self._open: list[int] = []  # steps whose part of the log is being read

    def begin(self, step: Sent) -> None:
        """From this step on, its commands are looked for too, and the reading goes on for longer."""
        self._position = step.position
        self._left = self._most
        self._open.append(step.position)
        self.found |= {id: [] for id in step.ids}

    def read_until(self, position: int | None) -> None:
        """Read up to a position, or the log's end, or until enough was read behind the last step."""
        until = self._head if position is None else min(position, self._head)
        while self._open and self._left and self._position < until:
            self._read_page(until)
        if self._open and not self._left and self._position < self._head:
            self.cut.update(self._open)
            self._open.clear()

    def _read_page(self, until: int) -> None:
        most = min(self._left, _PAGE_EVENTS)
        rows = self._store.driver.read_log(after=self._position, until=until, limit=most)
        count = 0
        for row in rows:
            count += 1
            self._position = row.position
            meta = self._store.decode_metadata(row)
            if meta.causation_id in self.found:
                self.found[meta.causation_id].append(
                    Effect(
                        type=row.type,
                        stream=row.stream,
                        version=row.version,
                        position=row.position,
                        service=meta.service,
                    )
                )
        self._left -= count
        if count < most:
            self._position = until
