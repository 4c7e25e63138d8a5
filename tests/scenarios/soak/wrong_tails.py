"""Readers of the log on PostgreSQL that look right and lose events: each must be caught."""

from __future__ import annotations

import time
from typing import Any

from whizbang.drivers.stores.base import StoredRow
from whizbang.drivers.stores.postgres import PostgresStore
from whizbang.drivers.stores.postgres_tail import Horizon, PostgresTail, read_holders

# Between two steps in the wrong order; without it chance decides how soon the fault shows.
PAUSE_SECONDS = 0.005

TABLE_HOLDERS = """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND relation = 'whizbang_event'::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND mode = 'RowExclusiveLock' AND granted AND pid IS DISTINCT FROM pg_backend_pid()
"""
# While the server logs a sequence, once in 32 draws, its row stands ahead of itself; the value is read from the
# page after the lock on it was given back. The pause lies between the two, where otherwise chance would.
LAST_VALUE = "SELECT last_value FROM whizbang_event_position_seq WHERE pg_sleep(0.0002) IS NOT NULL"


class NaiveTail(PostgresTail):
    """Takes everything that it sees."""

    def _count_settled(self, rows: list[StoredRow]) -> int:
        return len(rows)


class LastValueTail(PostgresTail):
    """Asks the sequence how far it is: the answer is read dirty, and may be ahead of itself."""

    def _look(self, *, seen: int) -> bool:
        return super()._look(seen=fetch(self._store, LAST_VALUE)[0][0])


class TableLockTail(PostgresTail):
    """Counts who holds the table: who has only drawn a position does not."""

    def _look(self, *, seen: int) -> bool:
        holders = frozenset(name for (name,) in fetch(self._store, TABLE_HOLDERS))
        return learn(self._horizon, seen, holders)


class HoldersFirstTail(PostgresTail):
    """Looks who is writing, and then how far the log goes."""

    def read(self, *, limit: int) -> list[StoredRow]:
        self._holders = read_holders(self._store.connection)
        time.sleep(PAUSE_SECONDS)
        return super().read(limit=limit)

    def _look(self, *, seen: int) -> bool:
        return learn(self._horizon, seen, self._holders)


class NoSecondReadTail(PostgresTail):
    """Hands out up to its horizon what it had read before the horizon moved."""

    def read(self, *, limit: int) -> list[StoredRow]:
        self._notice_new_connection()
        rows = self._store.read_after(self._mark, limit=limit)
        settled = self._count_settled(rows)
        time.sleep(PAUSE_SECONDS)
        if settled < len(rows) and self._look(seen=rows[-1].position):
            settled = self._count_settled(rows)
        if settled:
            self._mark = rows[settled - 1].position
        return rows[:settled]


def learn(horizon: Horizon, seen: int, holders: frozenset[str]) -> bool:
    """What `Horizon.look` does, with holders that are no good."""
    before = horizon.position
    horizon._release(holders)
    horizon._remember(seen, holders)
    return horizon.position > before


def fetch(store: PostgresStore, sql: str) -> list[Any]:
    with store.connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


WRONG_TAILS: dict[str, type[PostgresTail]] = {
    "naive": NaiveTail,
    "no_second_read": NoSecondReadTail,
    "holders_first": HoldersFirstTail,
    "table_lock": TableLockTail,
    "last_value": LastValueTail,
}
