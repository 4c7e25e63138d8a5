"""The event store on SQL Server, by mssql-django: positions from a counter row, as on MariaDB.

No server has run this yet: the statements were parsed by a grammar of the dialect, and the suite is
ready for a server that WHIZBANG_TEST_MSSQL names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, transaction

from whizbang.drivers.clock import database_now
from whizbang.drivers.errors import naming_missing_tables
from whizbang.drivers.stores.base import LogTail, NewRow, Placed, RowsOfStream, StoredRow
from whizbang.drivers.stores.commit_order_tail import CommitOrderTail
from whizbang.drivers.stores.relational import RelationalStore
from whizbang.drivers.stores.statements import load_statement
from whizbang.exceptions import ConcurrencyError, NotReady, WrongMode

_ROW = "(@first + {}, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
_CHUNK_ROWS = 200  # a statement takes 2100 parameters
_READ_COMMITTED = 2
_UNIQUE = "whizbang_event_stream_version"
_DEADLOCK_STATE = "40001"


class SqlServerStore(RelationalStore):
    """Events in SQL Server, payload and metadata as JSON text."""

    vendor = "microsoft"
    commit_order_is_position_order = True
    conflict_keeps_transaction = True  # a duplicate ends the statement, while XACT_ABORT is off
    attempts_inside = 2  # the first try has locked the counter

    schema_column = "[schema]"
    columns = (
        "position, stream, version, type, [schema], payload, metadata, occurred_at, recorded_at"
    )
    _category_sql = "LEFT(stream, CHARINDEX('-', stream + '-') - 1)"
    _after_place = "(stream > %s OR (stream = %s AND version > %s))"

    # Writing

    def _needs_version(self, item: RowsOfStream) -> bool:
        # A version that was seen stays: reading it ahead of the insert is as good as inside it.
        if super()._needs_version(item):
            return True
        return item.expected != 0 and not item.is_expected_read

    def _insert(
        self, ordered: Sequence[RowsOfStream], bases: dict[str, int]
    ) -> dict[str, list[Placed]]:
        recorded_at = database_now(self.using)
        rows = [
            (item.stream, version, row)
            for item in ordered
            for version, row in enumerate(item.rows, bases[item.stream] + 1)
        ]
        places: dict[str, list[Placed]] = {item.stream: [] for item in ordered}
        with self._all_or_none(len(rows)):
            for start in range(0, len(rows), _CHUNK_ROWS):
                chunk = rows[start : start + _CHUNK_ROWS]
                first = self._insert_chunk(chunk, recorded_at)
                for position, (stream, version, _) in enumerate(chunk, first):
                    places[stream].append(Placed(position, version, recorded_at))
        return places

    def _all_or_none(self, row_count: int) -> AbstractContextManager[Any]:
        """Counter and rows need a transaction; a savepoint in the caller's only for several batches."""
        if self.connection.in_atomic_block and row_count <= _CHUNK_ROWS:
            return nullcontext()
        return transaction.atomic(using=self.using)

    def _insert_chunk(self, rows: Sequence[tuple[str, int, NewRow]], recorded_at: datetime) -> int:
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
        self, exc: DatabaseError, ordered: Sequence[RowsOfStream], bases: dict[str, int]
    ) -> ConcurrencyError | None:
        if _UNIQUE in str(exc):
            return self._moved(ordered, bases)
        if _DEADLOCK_STATE not in map(str, exc.args):
            return None
        # The server has rolled the whole transaction back: what follows would be in another one.
        if self.connection.in_atomic_block:
            self.connection.set_rollback(True)
        first = ordered[0]
        return ConcurrencyError(first.stream, first.expected, None)

    # Reading

    def _page_sql(self, where: Sequence[str], order: str) -> str:
        return _page(f"{self.columns} FROM whizbang_event WHERE {' AND '.join(where)}", order)

    @property
    def _state_sql(self) -> str:
        conditions = "stream = %s AND version > %s AND version <= %s"
        return _page(
            f"version, type, [schema], payload FROM whizbang_event WHERE {conditions}", "version"
        )

    def _place(self, stream: str, version: int) -> tuple[Any, ...]:
        return stream, stream, version

    def _read(self, sql: str, params: Sequence[Any]) -> list[StoredRow]:
        return [_stored(row) for row in self._fetch(sql, params)]

    _scan = _read

    def _fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        with naming_missing_tables(self.using), self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())

    # The end of the log

    def settled_head(self) -> int:
        self.check_session()
        return self.last_position()

    def tail(self, *, after: int) -> LogTail:
        return SqlServerTail(self, after=after)

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


class SqlServerTail(CommitOrderTail):
    """Asks first whether the session may be trusted."""

    def __init__(self, store: SqlServerStore, *, after: int) -> None:
        super().__init__(store, after=after)
        self._check = store.check_session

    def read(self, *, limit: int) -> list[StoredRow]:
        self._check()
        return super().read(limit=limit)


def _page(selected: str, order: str) -> str:
    return f"SELECT {selected} ORDER BY {order} OFFSET 0 ROWS FETCH NEXT %s ROWS ONLY"


def _stored(row: Sequence[Any]) -> StoredRow:
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
