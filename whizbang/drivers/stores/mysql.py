"""The event store on MariaDB and MySQL: a counter row gives positions, so commit order is their order.

AUTO_INCREMENT would give positions before the commit and tell nobody who still holds one. The
function `whizbang_draw_positions` moves the counter instead, inside the inserting statement: its row
stays locked until the commit, so the next position is drawn only after the last one is visible.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction

from whizbang.drivers.chunks import chunks_of
from whizbang.drivers.errors import naming_missing_tables
from whizbang.drivers.execution import executor_of
from whizbang.drivers.stores.base import RowsOfStream, StoredRow
from whizbang.drivers.stores.commit_order import CounterStore, Numbered, naive_utc
from whizbang.drivers.stores.statements import load_statement
from whizbang.exceptions import ConcurrencyError, NotReady, WrongMode

_COLUMNS = "%s, %s, %s, %s, %s, %s, %s, %s, %s"  # behind the position
_FIRST_ROW = f"(LAST_INSERT_ID(whizbang_draw_positions(%s)), {_COLUMNS})"
# One statement's share, far below the smallest max_allowed_packet (4 MiB on older servers).
_CHUNK_ROWS = 1000
_CHUNK_BYTES = 1024 * 1024

_DUPLICATE = 1062
_DEADLOCK = 1213
_UNIQUE = "whizbang_event_stream_version"


class MysqlStore(CounterStore):
    """Events in MariaDB or MySQL, payload and metadata as JSON text."""

    vendor = "mysql"
    schema_column = "`schema`"
    payload_column = "CAST(payload AS BINARY)"
    columns = (
        "position, stream, version, type, `schema`, CAST(payload AS BINARY),"
        " CAST(metadata AS BINARY), occurred_at, recorded_at"
    )
    _category_sql = "substring_index(stream, '-', 1)"

    # Writing

    def _chunks_of(self, rows: Sequence[Numbered]) -> Iterator[list[Numbered]]:
        return chunks_of(rows, size_of=_size_of, most=_CHUNK_ROWS, most_bytes=_CHUNK_BYTES)

    def _all_or_none(self, chunk_count: int) -> AbstractContextManager[Any]:
        return nullcontext() if chunk_count == 1 else transaction.atomic(using=self.using)

    def _insert_chunk(self, rows: Sequence[Numbered], recorded_at: datetime) -> int:
        others = (f"(LAST_INSERT_ID() + {n}, {_COLUMNS})" for n in range(1, len(rows)))
        sql = f"{load_statement(self.vendor, 'append_events')} {', '.join([_FIRST_ROW, *others])}"
        params = [len(rows), *_parameters(rows, recorded_at)]
        return int(executor_of(self.connection).execute(sql, params).lastrowid)

    def _as_conflict(
        self, exc: DatabaseError, ordered: Sequence[RowsOfStream], bases: Sequence[int]
    ) -> ConcurrencyError | None:
        code = exc.args[0] if exc.args else None
        if code == _DUPLICATE and isinstance(exc, IntegrityError) and _UNIQUE in str(exc):
            return self._moved(ordered, bases)
        return self._lost_transaction(ordered) if code == _DEADLOCK else None

    # Reading

    def _versions(self, streams: Sequence[str]) -> dict[str, int]:
        return {**dict.fromkeys(streams, 0), **super()._versions(streams)}

    def _fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        with naming_missing_tables(self.using):
            found = executor_of(self.connection).execute(sql, params).fetchall()
        return list(found)

    @staticmethod
    def _stored(row: tuple[Any, ...]) -> StoredRow:
        occurred_at, recorded_at = row[7].replace(tzinfo=UTC), row[8].replace(tzinfo=UTC)
        return StoredRow._make((*row[:7], occurred_at, recorded_at))

    # The end of the log

    def hold_appends(self) -> None:
        """Locks the counter. Raises `WrongMode` where the caller would not see what is there now.

        Under REPEATABLE READ a transaction that has read before goes on seeing that moment.
        """
        with self.connection.cursor() as cursor:
            cursor.execute(load_statement(self.vendor, "hold_positions"))
            (current,) = cursor.fetchone()
            cursor.execute(load_statement(self.vendor, "read_drawn"))
            (seen,) = cursor.fetchone()
        if seen != current:
            raise WrongMode(
                f"This transaction sees the log up to position {seen}, but it ends at {current}: its "
                "isolation level hides later commits. Use READ COMMITTED, Django's default."
            )

    def check_session(self) -> None:
        """Refuse a connection that would show events of open transactions, or another clock.

        Once a connection. Raises `WrongMode` or `NotReady`.
        """
        connection = self.connection
        connection.ensure_connection()
        if connection.__dict__.get("_whizbang_checked") is connection.connection:
            return
        with connection.cursor() as cursor:
            cursor.execute(load_statement(self.vendor, "read_isolation"))
            _refuse_dirty_reads([level for _, level in cursor.fetchall()])
            cursor.execute(load_statement(self.vendor, "read_clock_offset"))
            _refuse_other_clock(self.using, *cursor.fetchone())
        connection.__dict__["_whizbang_checked"] = connection.connection

    # Dialect

    def _is_in(self, expression: str) -> str:
        return f"{expression} IN %s"

    def _members(self, values: Sequence[Any] | None) -> Any:
        if values is None:
            return None
        return tuple(values) or (None,)  # "IN ()" is no SQL

    def _instant(self, value: datetime | None) -> Any:
        return None if value is None else naive_utc(value)


def _refuse_dirty_reads(levels: Sequence[str]) -> None:
    if "READ-UNCOMMITTED" in levels:
        raise WrongMode(
            "The end of the log cannot be read at isolation level READ UNCOMMITTED, which shows "
            "events that may be rolled back: use READ COMMITTED, Django's default."
        )


def _refuse_other_clock(using: str, offset_seconds: int, time_zone: str) -> None:
    if offset_seconds:
        raise NotReady(
            f"Sessions of database {using!r} have the time zone {time_zone!r}, but Django stores UTC "
            "there, so that leases and due times are off by hours: set OPTIONS['init_command'] to "
            "\"SET time_zone = '+00:00'\"."
        )


def _size_of(item: Numbered) -> int:
    return len(item[2].payload) + len(item[2].metadata)


def _parameters(rows: Sequence[Numbered], recorded_at: datetime) -> Iterator[Any]:
    recorded = naive_utc(recorded_at)
    for stream, version, row in rows:
        yield from (
            stream,
            version,
            row.type,
            row.schema,
            row.slice,
            row.payload.decode(),
            row.metadata.decode(),
            naive_utc(row.occurred_at),
            recorded,
        )
