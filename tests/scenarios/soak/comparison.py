"""What a reader was handed, held against what there is."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

from whizbang.drivers.stores.base import EventStoreDriver

PAGE = 10_000

# None: nothing more for now, ask again.
Positions = Iterator[int | None]


def positions_in_file(path: Path) -> Positions:
    """As a reader process writes them, 8 bytes each, while it still writes."""
    with path.open("rb") as file:
        rest = b""
        while True:
            data = rest + file.read(8 * PAGE)
            whole = len(data) // 8 * 8
            found, rest = array("q", data[:whole]), data[whole:]
            yield from found if found else (None,)


def settled_positions(store: EventStoreDriver, after: int) -> Positions:
    """By the right reader, for comparisons while writers are at work."""
    tail = store.tail(after=after)
    while True:
        rows = tail.read(limit=1000)
        yield from (row.position for row in rows) if rows else (None,)


def stored_positions() -> Positions:
    """By the table itself, once nobody writes any more."""
    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT position FROM whizbang_event WHERE position > %s ORDER BY position LIMIT %s",
                [last, PAGE],
            )
            page = [position for (position,) in cursor.fetchall()]
        yield from page if page else (None,)
        last = page[-1] if page else last


class Comparison:
    """Walks along both in step, in bounded memory."""

    def __init__(self, expected: Positions, got: Positions) -> None:
        self.matched = 0
        self.missed: list[int] = []  # stored, and the reader went past it
        self.surplus: list[int] = []  # handed out twice, out of order, or never stored
        self._expected, self._got = expected, got
        self._next: int | None = None  # expected next
        self._handed: int | None = None  # handed out, and not compared yet

    @property
    def is_clean(self) -> bool:
        return not self.missed and not self.surplus

    def advance(self) -> None:
        """Compare all that both sides have by now."""
        while True:
            if self._handed is None:
                self._handed = next(self._got)
            if self._next is None:
                self._next = next(self._expected)
            if self._handed is None or self._next is None:
                return
            self._step(self._handed, self._next)

    def finish(self) -> None:
        """The same, when neither side will have more: what is left on one side is wrong."""
        self.advance()
        while self._next is not None:
            self.missed.append(self._next)
            self._next = next(self._expected)
        while self._handed is not None:
            self.surplus.append(self._handed)
            self._handed = next(self._got)

    def _step(self, handed: int, expected: int) -> None:
        if handed == expected:
            self.matched += 1
            self._handed = self._next = None
        elif handed > expected:
            self.missed.append(expected)
            self._next = None
        else:
            self.surplus.append(handed)
            self._handed = None

    def __repr__(self) -> str:
        return (
            f"{self.matched} as stored, {len(self.missed)} missed {self.missed[:5]},"
            f" {len(self.surplus)} too much {self.surplus[:5]}"
        )
