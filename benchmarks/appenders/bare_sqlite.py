"""sqlite3 alone, on a connection of its own, which caches its statements."""

from __future__ import annotations

import sqlite3
from typing import Any

from benchmarks.appenders.base import BARE_TABLE, Appender, Row, make_streams
from benchmarks.databases import SQLITE_PRAGMAS

ONE = f"""
INSERT INTO {BARE_TABLE}
    (stream, version, type, schema, slice, payload, metadata, occurred_at, recorded_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class SqliteAppender(Appender):
    """One insert, or as many as the batch has between BEGIN and COMMIT."""

    def __init__(
        self,
        name: str,
        database: dict[str, Any],
        row: Row,
        *,
        batch: int = 1,
        in_transaction: bool = False,
    ) -> None:
        super().__init__(name, batch=batch)
        self._database = database
        instant = str(row.occurred_at.replace(tzinfo=None))
        self._values = (*row[:5], instant, instant)
        self._in_transaction = in_transaction or batch > 1

    def open(self, writer: int) -> None:
        self._connection = sqlite3.connect(self._database["NAME"], isolation_level=None)
        self._connection.executescript(SQLITE_PRAGMAS)
        # As Django sets it on every connection.
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._streams = make_streams(writer)

    def append(self) -> None:
        stream, connection = next(self._streams), self._connection
        if not self._in_transaction:
            connection.execute(ONE, (stream, 1, *self._values))
            return
        connection.execute("BEGIN IMMEDIATE")
        if self.batch == 1:
            connection.execute(ONE, (stream, 1, *self._values))
        else:
            rows = ((stream, version, *self._values) for version in range(1, self.batch + 1))
            connection.executemany(ONE, rows)
        connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


def create_table(database: dict[str, Any]) -> None:
    """The log's columns and both indexes, without its triggers."""
    connection = sqlite3.connect(database["NAME"])
    found = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'whizbang_event'")
    (statement,) = found.fetchone()
    connection.execute(statement.replace('"whizbang_event"', f'"{BARE_TABLE}"'))
    connection.close()
