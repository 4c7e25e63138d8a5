"""The event store on SQL Server, by mssql-django: positions from a counter row, as on MariaDB.

No server has run this yet: the statements were parsed by a grammar of the dialect, and the suite is
ready for a server that WHIZBANG_TEST_MSSQL names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, transaction

from whizbang.drivers.errors import naming_missing_tables
from whizbang.drivers.stores.base import RowsOfStream, StoredRow
from whizbang.drivers.stores.commit_order import CounterStore, Numbered
from whizbang.drivers.stores.statements import load_statement
from whizbang.exceptions import ConcurrencyError, NotReady, WrongMode

_ROW = "(@first + {}, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
_CHUNK_ROWS = 200  # a statement takes 2100 parameters
_READ_COMMITTED = 2
_UNIQUE = "whizbang_event_stream_version"
_DEADLOCK_STATE = "40001"


class SqlServerStore(CounterStore):
    """Events in SQL Server, payload and metadata as JSON text.

    A refused append keeps the transaction while XACT_ABORT is off.
    """

    vendor = "microsoft"
    schema_column = "[schema]"
    columns = (
        "position, stream, version, type, [schema], payload, metadata, occurred_at, recorded_at"
    )
    _category_sql = "LEFT(stream, CHARINDEX('-', stream + '-') - 1)"

    # Writing

    def _chunks_of(self, rows: Sequence[Numbered]) -> Iterator[Sequence[Numbered]]:
        return (rows[at : at + _CHUNK_ROWS] for at in range(0, len(rows), _CHUNK_ROWS))

    def _all_or_none(self, chunk_count: int) -> AbstractContextManager[Any]:
        """Counter and rows need a transaction; a savepoint in the caller's only for several batches."""
        if self.connection.in_atomic_block and chunk_count == 1:
            return nullcontext()
        return transaction.atomic(using=self.using)

    def _insert_chunk(self, rows: Sequence[Numbered], recorded_at: datetime) -> int:
        params: list[Any] = [len(rows)]
        for stream, version, row in rows:
            params += (stream, version, row.type, row.schema, row.slice)
            params += (row.payload.decode(), row.metadata.decode(), row.occurred_at, recorded_at)
        ((first,),) = self._fetch(self.append_statement(len(rows)), params)
        return int(first)

    def append_statement(self, row_count: int) -> str:
        """The batch that inserts so many rows and gives the first one's position."""
        values = ", ".join(_ROW.format(n) for n in range(row_count))
        begin = load_statement(self.vendor, "begin_append")
        return f"{begin} {values};\n{load_statement(self.vendor, 'end_append')}"

    def _as_conflict(
        self, exc: DatabaseError, ordered: Sequence[RowsOfStream], bases: Sequence[int]
    ) -> ConcurrencyError | None:
        if _UNIQUE in str(exc):
            return self._moved(ordered, bases)
        is_deadlock = _DEADLOCK_STATE in map(str, exc.args)
        return self._lost_transaction(ordered) if is_deadlock else None

    # Reading

    def _page_sql(self, where: Sequence[str], order: str) -> str:
        return _page(f"{self.columns} FROM whizbang_event WHERE {' AND '.join(where)}", order)

    @property
    def _state_sql(self) -> str:
        conditions = "stream = %s AND version > %s AND version <= %s"
        return _page(
            f"version, type, [schema], payload FROM whizbang_event WHERE {conditions}", "version"
        )

    def _fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        with naming_missing_tables(self.using), self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())

    @staticmethod
    def _stored(row: tuple[Any, ...]) -> StoredRow:
        position, stream, version, type, schema, payload, metadata, occurred_at, recorded_at = row
        return StoredRow(
            position,
            stream,
            version,
            type,
            schema,
            payload.encode(),
            metadata.encode(),
            occurred_at.astimezone(UTC),
            recorded_at.astimezone(UTC),
        )

    # The end of the log

    def hold_appends(self) -> None:
        self.check_session()
        with self.connection.cursor() as cursor:
            cursor.execute(load_statement(self.vendor, "hold_positions"))

    def check_session(self) -> None:
        """Refuse a session that sees too much or too little, and a collation that is not exact."""
        with self.connection.cursor() as cursor:
            cursor.execute(load_statement(self.vendor, "read_session"))
            isolation, collation = cursor.fetchone()
        if isolation != _READ_COMMITTED:
            raise WrongMode("The end of the log is read in READ COMMITTED, SQL Server's default.")
        if "_BIN2" not in collation:
            raise NotReady(
                f"Database {self.using!r} has the collation {collation}, in which streams 'a' and 'A' "
                "are one: create it with COLLATE Latin1_General_100_BIN2."
            )

    # Dialect

    def _is_in(self, expression: str) -> str:
        return f"{expression} IN (SELECT value FROM OPENJSON(%s) WITH (value nvarchar(255) '$'))"

    def _members(self, values: Sequence[Any] | None) -> Any:
        return None if values is None else json.dumps(list(values))

    def _instant(self, value: datetime | None) -> Any:
        return value


def _page(selected: str, order: str) -> str:
    return f"SELECT {selected} ORDER BY {order} OFFSET 0 ROWS FETCH NEXT %s ROWS ONLY"
