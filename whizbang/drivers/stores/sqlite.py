"""The event store on SQLite: one writer at a time, so commit order is position order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction

from whizbang.drivers.errors import naming_missing_tables
from whizbang.drivers.execution import executor_of
from whizbang.drivers.stores.base import Placed, RowsOfStream, StoredRow
from whizbang.drivers.stores.commit_order import CommitOrderStore, naive_utc
from whizbang.exceptions import ConcurrencyError

_INSERT = (
    "INSERT INTO whizbang_event (stream, version, type, schema, slice, payload, metadata,"
    " occurred_at, recorded_at) VALUES "
)
_ROW = "(%s, %s, %s, %s, %s, %s, %s, %s, %s)"
_COLUMN_COUNT = 9


class SqliteStore(CommitOrderStore):
    """Events in SQLite, payload and metadata as MessagePack."""

    vendor = "sqlite"
    supports_json = False

    # The plus hides the column's type, else Django's slow datetime converter runs on every row.
    columns = (
        "position, stream, version, type, schema, payload, metadata, +occurred_at, +recorded_at"
    )
    _category_sql = "substr(stream, 1, instr(stream || '-', '-') - 1)"

    def _insert(
        self, ordered: Sequence[RowsOfStream], bases: dict[str, int]
    ) -> dict[str, list[Placed]]:
        recorded_at = datetime.now(UTC)
        if len(ordered) == 1 and len(ordered[0].rows) == 1:
            item = ordered[0]
            return {item.stream: [self._insert_one(item, bases[item.stream] + 1, recorded_at)]}
        rows = _parameters(ordered, bases, naive_utc(recorded_at))
        positions: dict[tuple[str, int], int] = {}
        with self._all_or_none(len(rows)):
            for start in range(0, len(rows), self._chunk_rows):
                positions.update(self._insert_chunk(rows[start : start + self._chunk_rows]))
        return {
            item.stream: [
                Placed(positions[item.stream, version], version, recorded_at)
                for version in range(
                    bases[item.stream] + 1, bases[item.stream] + len(item.rows) + 1
                )
            ]
            for item in ordered
        }

    def _insert_one(self, item: RowsOfStream, version: int, recorded_at: datetime) -> Placed:
        (row,) = item.rows
        params = (
            item.stream,
            version,
            row.type,
            row.schema,
            row.slice,
            row.payload,
            row.metadata,
            naive_utc(row.occurred_at),
            naive_utc(recorded_at),
        )
        # The position of an AUTOINCREMENT key is the row id of the insert.
        cursor = executor_of(self.connection).execute(_INSERT + _ROW, params)
        return Placed(cursor.lastrowid, version, recorded_at)

    @property
    def _chunk_rows(self) -> int:
        return (self.connection.features.max_query_params or 999) // _COLUMN_COUNT

    def _all_or_none(self, row_count: int) -> AbstractContextManager[Any]:
        if row_count <= self._chunk_rows:
            return nullcontext()
        return transaction.atomic(using=self.using)

    def _insert_chunk(self, rows: Sequence[tuple[Any, ...]]) -> dict[tuple[str, int], int]:
        """Positions by stream and version: SQLite does not promise the order of RETURNING."""
        values = ", ".join([_ROW] * len(rows))
        params = [value for row in rows for value in row]
        sql = f"{_INSERT}{values} RETURNING stream, version, position"
        found = executor_of(self.connection).execute(sql, params).fetchall()
        return {(stream, version): position for stream, version, position in found}

    def _as_conflict(
        self, exc: DatabaseError, ordered: Sequence[RowsOfStream], bases: dict[str, int]
    ) -> ConcurrencyError | None:
        # "database is locked" is an OperationalError: nobody moved the stream, so it goes through.
        is_conflict = isinstance(exc, IntegrityError) and "whizbang_event.version" in str(exc)
        return self._moved(ordered, bases) if is_conflict else None

    def _fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        with naming_missing_tables(self.using):
            found: list[tuple[Any, ...]] = (
                executor_of(self.connection).execute(sql, params).fetchall()
            )
        return found

    def hold_appends(self) -> None:
        """An IMMEDIATE transaction is the only writer already; a deferred one becomes it here."""
        with self.connection.cursor() as cursor:
            cursor.execute("UPDATE whizbang_store_head SET id = id")

    @staticmethod
    def _stored(row: tuple[Any, ...]) -> StoredRow:
        # With its offset in the text, an instant is made at once: half the time of adding the zone afterwards.
        occurred_at = datetime.fromisoformat(row[7] + "+00:00")
        recorded_at = datetime.fromisoformat(row[8] + "+00:00")
        return StoredRow._make((*row[:7], occurred_at, recorded_at))

    def _is_in(self, expression: str) -> str:
        return f"{expression} IN (SELECT value FROM json_each(%s))"

    def _members(self, values: Sequence[Any] | None) -> Any:
        return None if values is None else json.dumps(list(values))

    def _instant(self, value: datetime | None) -> Any:
        return None if value is None else naive_utc(value)


def _parameters(
    ordered: Sequence[RowsOfStream], bases: dict[str, int], recorded_at: str
) -> list[tuple[Any, ...]]:
    return [
        (
            item.stream,
            version,
            row.type,
            row.schema,
            row.slice,
            row.payload,
            row.metadata,
            naive_utc(row.occurred_at),
            recorded_at,
        )
        for item in ordered
        for version, row in enumerate(item.rows, bases[item.stream] + 1)
    ]
