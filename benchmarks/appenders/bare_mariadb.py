"""MariaDB's driver alone, on a connection of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.appenders.base import (
    BARE_TABLE,
    COUNTER_TABLE,
    UNSAFE_TABLE,
    Appender,
    Row,
    make_streams,
)
from benchmarks.databases import mysql_driver

_COLUMNS = "stream, version, type, `schema`, slice, payload, metadata, occurred_at, recorded_at"
_VALUES = "%s, %s, %s, %s, %s, %s, %s, %s, %s"
_MULTI_STATEMENTS = 1 << 16  # CLIENT_MULTI_STATEMENTS of the protocol

TABLES = (
    f"CREATE TABLE {BARE_TABLE} LIKE whizbang_event",
    f"CREATE TABLE {UNSAFE_TABLE} LIKE whizbang_event",
    f"ALTER TABLE {UNSAFE_TABLE} MODIFY position bigint NOT NULL AUTO_INCREMENT",
    f"CREATE TABLE {COUNTER_TABLE} (id smallint PRIMARY KEY, value bigint NOT NULL) ENGINE = InnoDB",
    f"INSERT INTO {COUNTER_TABLE} VALUES (1, 0)",
)


class MariadbAppender(Appender):
    """AUTO_INCREMENT in autocommit: the quickest, but a reader of its order loses events."""

    def __init__(self, name: str, database: dict[str, Any], row: Row, *, batch: int = 1) -> None:
        super().__init__(name, batch=batch)
        self._database = database
        instant = str(row.occurred_at.replace(tzinfo=None))
        self._values = (*row[:5], instant, instant)

    def open(self, writer: int) -> None:
        self._connection = connect(self._database)
        self._cursor = self._connection.cursor()
        self._streams = make_streams(writer)
        rows = ", ".join([f"({_VALUES})"] * self.batch)
        self._sql = f"INSERT INTO {UNSAFE_TABLE} ({_COLUMNS}) VALUES {rows}"

    def append(self) -> None:
        self._cursor.execute(self._sql, list(self._make_values()))

    def _make_values(self) -> Iterator[Any]:
        stream = next(self._streams)
        for version in range(1, self.batch + 1):
            yield from (stream, version, *self._values)

    def close(self) -> None:
        self._connection.close()


class CounterAppender(MariadbAppender):
    """The counter row and the insert in one transaction, sent together in one round trip."""

    def open(self, writer: int) -> None:
        super().open(writer)
        rows = ", ".join(
            f"(LAST_INSERT_ID() - {n}, {_VALUES})" for n in reversed(range(self.batch))
        )
        self._sql = (
            f"BEGIN; UPDATE {COUNTER_TABLE} SET value = LAST_INSERT_ID(value + {self.batch}) WHERE id = 1;"
            f" INSERT INTO {BARE_TABLE} (position, {_COLUMNS}) VALUES {rows}; COMMIT"
        )

    def append(self) -> None:
        cursor = self._cursor
        cursor.execute(self._sql, list(self._make_values()))
        while cursor.nextset():
            continue


def connect(database: dict[str, Any]) -> Any:
    return mysql_driver().connect(
        database=database["NAME"],
        host=database["HOST"],
        port=int(database["PORT"]),
        user=database["USER"],
        password=database["PASSWORD"],
        charset="utf8mb4",
        autocommit=True,
        init_command="SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        client_flag=_MULTI_STATEMENTS,
    )


def create_tables(database: dict[str, Any]) -> None:
    """The log's columns and both indexes, without its triggers; and a counter."""
    connection = connect(database)
    for statement in TABLES:
        connection.cursor().execute(statement)
    connection.close()
