"""Following the end of the log on PostgreSQL, where positions are drawn before they are committed.

Whoever drew a position below h drew it before h was drawn, so before h was seen. It held the lock on
the sequence then: it is either among the holders read after h, or it has ended, and the next
snapshot shows what it did. Once those holders have ended, nothing can appear at or below h.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper

from whizbang.drivers.stores.base import LogTail, StoredRow
from whizbang.drivers.stores.statements import load_statement
from whizbang.exceptions import NotReady, WrongMode

if TYPE_CHECKING:
    from whizbang.drivers.stores.postgres import PostgresStore

MAX_BARRIERS = 16
_MOST_SHAPE = 160  # characters of a statement that are shown
# A quoted text, a dollar quote, a comment or a number; $1 is a placeholder, t1 a name.
_VALUE = re.compile(r"'|\$[A-Za-z_]*\$|--|/\*|(?<![\w$])\d")


@dataclass(slots=True)
class Barrier:
    """A position that was seen, and who could still fill a hole below it."""

    position: int
    holders: frozenset[str]


class Horizon:
    """The position below which nothing can appear any more, as far as one connection knows.

    What was read before the horizon moved may lack rows below it: read again afterwards.
    """

    def __init__(self) -> None:
        self.position = 0
        self._barriers: list[Barrier] = []

    def look(self, connection: BaseDatabaseWrapper, *, seen: int) -> bool:
        """Learn from who holds the sequence now; `seen` is a position read before this call.

        Always the same connection. Tells whether the horizon moved.
        """
        before = self.position
        holders = read_holders(connection)  # after `seen` was read, never before
        self._release(holders)
        self._remember(seen, holders)
        return self.position > before

    def _release(self, holders: frozenset[str]) -> None:
        for barrier in self._barriers:
            barrier.holders &= holders
            if not barrier.holders:
                self.position = max(self.position, barrier.position)
        self._barriers = [b for b in self._barriers if b.holders and b.position > self.position]

    def _remember(self, seen: int, holders: frozenset[str]) -> None:
        last = self._barriers[-1] if self._barriers else None
        if seen <= (last.position if last else self.position):
            return
        if not holders:
            self.position = seen
        elif last and last.holders == holders:
            last.position = seen
        elif len(self._barriers) < MAX_BARRIERS:
            self._barriers.append(Barrier(seen, holders))


class PostgresTail(LogTail):
    """Hands out events up to the horizon, and beyond it while there is no hole."""

    def __init__(self, store: PostgresStore, *, after: int) -> None:
        self._store = store
        self._mark = after
        self._raw: Any = None  # the driver's connection the horizon belongs to
        self._horizon = Horizon()

    @property
    def mark(self) -> int:
        return self._mark

    def read(self, *, limit: int) -> list[StoredRow]:
        self._notice_new_connection()
        rows = self._store.read_after(self._mark, limit=limit)
        settled = self._count_settled(rows)
        if settled < len(rows) and self._look(seen=self._last_seen(rows, limit)):
            # Whoever ended since the first read may have filled a hole that it shows.
            rows = self._store.read_after(self._mark, limit=limit)
            settled = self._count_settled(rows)
        if settled:
            self._mark = rows[settled - 1].position
        return rows[:settled]

    def explain(self) -> list[str]:
        with self._store.connection.cursor() as cursor:
            cursor.execute(load_statement("postgresql", "explain_holders"))
            return [_describe_holder(*row) for row in cursor.fetchall()]

    def _last_seen(self, rows: list[StoredRow], limit: int) -> int:
        """The end of the log, not of the page: who is behind would wait for open writers at each page."""
        return rows[-1].position if len(rows) < limit else self._store.last_position()

    def _look(self, *, seen: int) -> bool:
        return self._horizon.look(self._store.connection, seen=seen)

    def _count_settled(self, rows: list[StoredRow]) -> int:
        settled_end = max(self._mark, self._horizon.position)
        for count, row in enumerate(rows):
            if row.position > settled_end + 1:
                return count
            settled_end = max(settled_end, row.position)
        return len(rows)

    def _notice_new_connection(self) -> None:
        """Transaction ids of another server life mean nothing: start with a fresh horizon."""
        connection = self._store.connection
        connection.ensure_connection()
        if connection.connection is not self._raw:
            read_holders(connection)  # refuses early what could only lose events later
            self._raw = connection.connection
            self._horizon = Horizon()


def read_holders(connection: BaseDatabaseWrapper) -> frozenset[str]:
    """Transactions other than the own that drew positions and are still open.

    Raises `WrongMode` or `NotReady` where the answer could not be trusted.
    """
    with connection.cursor() as cursor:
        cursor.execute(load_statement("postgresql", "read_holders"))
        isolation, is_standby, cache_size, holders = cursor.fetchone()
    if isolation != "read committed":
        raise WrongMode(
            f"The end of the log cannot be read at isolation level {isolation!r}, which hides later "
            "commits: read it in autocommit or in READ COMMITTED."
        )
    if is_standby:
        raise WrongMode(
            "The end of the log cannot be read on a hot standby, which does not show its writers: "
            "name the primary as the store's database."
        )
    _refuse_unusable_sequence(cache_size)
    return frozenset(holders)


def _refuse_unusable_sequence(cache_size: int | None) -> None:
    if cache_size is None:
        raise NotReady(
            "The column whizbang_event.position owns no sequence, so open writers cannot be seen: "
            "run `manage.py migrate`, or ALTER SEQUENCE … OWNED BY whizbang_event.position."
        )
    if cache_size != 1:
        raise NotReady(
            f"The sequence of whizbang_event.position has CACHE {cache_size}, which draws positions "
            "ahead of time: run ALTER SEQUENCE … CACHE 1."
        )


def _describe_holder(
    pid: int | None,
    transaction: str,
    application: str | None,
    state: str | None,
    age: float | None,
    statement: str | None,
) -> str:
    if pid is None:
        return f"prepared transaction {transaction}: COMMIT PREPARED or ROLLBACK PREPARED it"
    since = f"open for {age:.1f} s" if age is not None else "of unknown age"
    runs = (
        f", {'runs' if state == 'active' else 'ran last'}: {shape_of(statement)}"
        if statement
        else ""
    )
    return (
        f"pid {pid} ({application or 'no application name'}), {state or 'unknown'}, {since}{runs}"
    )


def shape_of(statement: str) -> str:
    """The beginning of a statement, up to its first value or comment: those may be anybody's secrets."""
    shape = " ".join(_VALUE.split(statement, maxsplit=1)[0].split())
    cut = shape != " ".join(statement.split())
    return f"{shape[:_MOST_SHAPE].rstrip()} …" if cut or len(shape) > _MOST_SHAPE else shape
