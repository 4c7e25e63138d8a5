"""The event store on SQLite: one writer at a time, so commit order is position order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction

from whizbang.drivers.errors import naming_missing_tables
from whizbang.drivers.execution import executor_of
from whizbang.drivers.stores.base import Placed, RowsOfStream, StoredRow
from whizbang.drivers.stores.commit_order import CommitOrderStore, naive_utc, numbered
from whizbang.exceptions import ConcurrencyError

_INSERT = (
    "INSERT INTO whizbang_event (stream, version, type, schema, slice, payload, metadata,"
    " occurred_at, recorded_at) VALUES "
)
_ROW = "(%s, %s, %s, %s, %s, %s, %s, %s, %s)"
_INSERT_ONE = _INSERT + _ROW
_RETURNING = " RETURNING stream, version, position"
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

    def _insert(self, ordered: Sequence[RowsOfStream], bases: Sequence[int]) -> list[list[Placed]]:
        recorded_at = datetime.now(UTC)
        if len(ordered) == 1 and len(ordered[0].rows) == 1:
            position = self._insert_one(ordered[0], bases[0] + 1, recorded_at)
            return [[Placed(position, bases[0] + 1, recorded_at)]]
        positions: dict[tuple[str, int], int] = {}
        for cursor in self._insert_chunks(ordered, bases, recorded_at, _RETURNING):
            # By stream and version: SQLite does not promise the order of RETURNING.
            positions.update({(stream, version): at for stream, version, at in cursor.fetchall()})
        return [
            [
                Placed(positions[item.stream, version], version, recorded_at)
                for version in range(base + 1, base + len(item.rows) + 1)
            ]
            for item, base in zip(ordered, bases, strict=True)
        ]

    def _insert_only(self, ordered: Sequence[RowsOfStream], bases: Sequence[int]) -> None:
        recorded_at = datetime.now(UTC)
        if len(ordered) == 1 and len(ordered[0].rows) == 1:
            self._insert_one(ordered[0], bases[0] + 1, recorded_at)
            return
        for _ in self._insert_chunks(ordered, bases, recorded_at, ""):
            continue

    def _insert_one(self, item: RowsOfStream, version: int, recorded_at: datetime) -> int:
        """Gives the position: that of an AUTOINCREMENT key is the row id of the insert."""
        row = item.rows[0]
        times = naive_utc(row.occurred_at), naive_utc(recorded_at)
        params = (item.stream, version, *row[:5], *times)
        position: int = executor_of(self.connection).execute(_INSERT_ONE, params).lastrowid
        return position

    def _insert_chunks(
        self,
        ordered: Sequence[RowsOfStream],
        bases: Sequence[int],
        recorded_at: datetime,
        returning: str,
    ) -> Iterator[Any]:
        """Cursors of the statements, one after the other."""
        rows, recorded = numbered(ordered, bases), naive_utc(recorded_at)
        last, occurred = recorded_at, recorded
        execute, size = executor_of(self.connection).execute, self._chunk_rows
        with self._all_or_none(len(rows)):
            for start in range(0, len(rows), size):
                chunk = rows[start : start + size]
                params: list[Any] = []
                for stream, version, row in chunk:
                    if row.occurred_at is not last:  # events of one append share theirs
                        last, occurred = row.occurred_at, naive_utc(row.occurred_at)
                    params += (stream, version, *row[:5], occurred, recorded)
                yield execute(_INSERT + ", ".join([_ROW] * len(chunk)) + returning, params)

    @property
    def _chunk_rows(self) -> int:
        return (self.connection.features.max_query_params or 999) // _COLUMN_COUNT

    def _all_or_none(self, row_count: int) -> AbstractContextManager[Any]:
        if row_count <= self._chunk_rows:
            return nullcontext()
        return transaction.atomic(using=self.using)

    def _as_conflict(
        self, exc: DatabaseError, ordered: Sequence[RowsOfStream], bases: Sequence[int]
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

    def _read(self, sql: str, params: Sequence[Any]) -> list[StoredRow]:
        found: list[StoredRow] = []
        text, recorded_at = "", None
        for row in self._fetch(sql, params):
            # Events of one append share it. With its offset in the text, an instant is made at once: half the
            # time of adding the zone afterwards.
            if row[8] != text:
                text, recorded_at = row[8], datetime.fromisoformat(row[8] + "+00:00")
            occurred_at = datetime.fromisoformat(row[7] + "+00:00")
            found.append(StoredRow._make((*row[:7], occurred_at, recorded_at)))
        return found

    _scan = _read

    def _is_in(self, expression: str) -> str:
        return f"{expression} IN (SELECT value FROM json_each(%s))"

    def _members(self, values: Sequence[Any] | None) -> Any:
        return None if values is None else json.dumps(list(values))

    def _instant(self, value: datetime | None) -> Any:
        return None if value is None else naive_utc(value)
