"""psycopg alone, on a connection of its own: values bound on the server, statements prepared at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.appenders.base import BARE_TABLE, EVENTS_PER_STREAM, Appender, Row, make_streams

CREATE = f"CREATE TABLE {BARE_TABLE} (LIKE whizbang_event INCLUDING ALL)"

_COLUMNS = "stream, version, type, schema, slice, payload, metadata, occurred_at, recorded_at"
ONE = f"""
INSERT INTO {BARE_TABLE} ({_COLUMNS})
VALUES (%s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s, clock_timestamp())
RETURNING position
"""
# Arrays in the binary format: as text, quoting them would take longer than storing them.
MANY = f"""
INSERT INTO {BARE_TABLE} ({_COLUMNS})
SELECT stream, version, type, schema, slice, payload::jsonb, metadata::jsonb, occurred_at, clock_timestamp()
FROM unnest(
    %b::text[], %b::integer[], %b::text[], %b::smallint[], %b::smallint[], %b::text[], %b::text[],
    %b::timestamptz[]
) AS n (stream, version, type, schema, slice, payload, metadata, occurred_at)
RETURNING position
"""
COPY = f"COPY {BARE_TABLE} ({_COLUMNS}) FROM STDIN"


class PsycopgAppender(Appender):
    """One insert, of one row or by unnest; in autocommit, or between BEGIN and COMMIT."""

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
        self._database, self._row, self._in_transaction = database, row, in_transaction

    def open(self, writer: int) -> None:
        self._connection = connect(self._database)
        self._connection.prepare_threshold = 0
        self._cursor = self._connection.cursor()
        self._streams = make_streams(writer)
        # All but the streams' names stay the same.
        self._rest = [list(range(1, self.batch + 1)), *([v] * self.batch for v in self._row)]

    def append(self) -> None:
        if self._in_transaction:
            self._cursor.execute("BEGIN")
        self._insert(next(self._streams))
        if self._in_transaction:
            self._cursor.execute("COMMIT")

    def _insert(self, stream: str) -> None:
        if self.batch == 1:
            self._cursor.execute(ONE, (stream, 1, *self._row)).fetchone()
        else:
            self._cursor.execute(MANY, [[stream] * self.batch, *self._rest]).fetchall()

    def close(self) -> None:
        self._connection.close()


class CopyAppender(PsycopgAppender):
    """One COPY of rows whose values are text already."""

    warm_ups = 1

    def append(self) -> None:
        with self._cursor.copy(COPY) as copy:
            for _ in range(self.batch // EVENTS_PER_STREAM):
                self._copy_stream(copy, next(self._streams))

    def _copy_stream(self, copy: psycopg.Copy, stream: str) -> None:
        for version in range(1, EVENTS_PER_STREAM + 1):
            copy.write_row((stream, version, *self._texts))

    def open(self, writer: int) -> None:
        super().open(writer)
        instant = self._row.occurred_at.isoformat()
        self._texts: Sequence[Any] = (*self._row[:5], instant, instant)


def connect(database: dict[str, Any]) -> psycopg.Connection[Any]:
    return psycopg.connect(
        dbname=database["NAME"],
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        password=database["PASSWORD"],
        autocommit=True,
    )


def create_table(database: dict[str, Any]) -> None:
    """The log's columns and both indexes, without its triggers."""
    with connect(database) as connection:
        connection.execute(sql.SQL(CREATE))
