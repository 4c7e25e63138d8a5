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

from whizbang.drivers.clock import database_now
from whizbang.drivers.errors import naming_missing_tables
from whizbang.drivers.execution import executor_of
from whizbang.drivers.stores.base import LogTail, NewRow, Placed, RowsOfStream, StoredRow
from whizbang.drivers.stores.commit_order_tail import CommitOrderTail
from whizbang.drivers.stores.relational import RelationalStore
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

_Numbered = tuple[str, int, NewRow]  # stream, version, row


class MysqlStore(RelationalStore):
    """Events in MariaDB or MySQL, payload and metadata as JSON text."""

    vendor = "mysql"
    commit_order_is_position_order = True
    conflict_keeps_transaction = True  # a duplicate ends the statement, not the transaction
    # The first try has locked the counter, so nobody can come first a second time.
    attempts_inside = 2

    schema_column = "`schema`"
    payload_column = "CAST(payload AS BINARY)"
    columns = (
        "position, stream, version, type, `schema`, CAST(payload AS BINARY),"
        " CAST(metadata AS BINARY), occurred_at, recorded_at"
    )
    _category_sql = "substring_index(stream, '-', 1)"
    # Neither product uses an index for a comparison of rows.
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
        chunks = list(_chunks_of(rows))
        places: dict[str, list[Placed]] = {item.stream: [] for item in ordered}
        with self._all_or_none(chunks):
            for chunk in chunks:
                first = self._insert_chunk(chunk, recorded_at)
                for position, (stream, version, _) in enumerate(chunk, first):
                    places[stream].append(Placed(position, version, recorded_at))
        return places

    def _all_or_none(self, chunks: Sequence[Any]) -> AbstractContextManager[Any]:
        return nullcontext() if len(chunks) == 1 else transaction.atomic(using=self.using)

    def _insert_chunk(self, rows: Sequence[_Numbered], recorded_at: datetime) -> int:
        """Insert rows at positions that follow each other; gives the first one."""
        others = (f"(LAST_INSERT_ID() + {n}, {_COLUMNS})" for n in range(1, len(rows)))
        sql = f"{load_statement(self.vendor, 'append_events')} {', '.join([_FIRST_ROW, *others])}"
        params = [len(rows), *_parameters(rows, recorded_at)]
        return int(executor_of(self.connection).execute(sql, params).lastrowid)

    def _as_conflict(
        self, exc: DatabaseError, ordered: Sequence[RowsOfStream], bases: dict[str, int]
    ) -> ConcurrencyError | None:
        code = exc.args[0] if exc.args else None
        if code == _DUPLICATE and isinstance(exc, IntegrityError) and _UNIQUE in str(exc):
            return self._moved(ordered, bases)
        if code != _DEADLOCK:
            return None
        # The server has rolled the whole transaction back: what follows would be in another one.
        if self.connection.in_atomic_block:
            self.connection.set_rollback(True)
        first = ordered[0]
        return ConcurrencyError(first.stream, first.expected, None)

    # Reading

    def _place(self, stream: str, version: int) -> tuple[Any, ...]:
        return stream, stream, version

    def _versions(self, streams: Sequence[str]) -> dict[str, int]:
        return {**dict.fromkeys(streams, 0), **super()._versions(streams)}

    def _read(self, sql: str, params: Sequence[Any]) -> list[StoredRow]:
        return [_stored(row) for row in self._fetch(sql, params)]

    _scan = _read

    def _fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        with naming_missing_tables(self.using):
            found = executor_of(self.connection).execute(sql, params).fetchall()
        return list(found)

    # The end of the log

    def settled_head(self) -> int:
        self.check_session()
        return self.last_position()

    def tail(self, *, after: int) -> LogTail:
        return MysqlTail(self, after=after)

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
        return None if value is None else _to_text(value)


class MysqlTail(CommitOrderTail):
    """Asks each new connection first whether it may be trusted."""

    def __init__(self, store: MysqlStore, *, after: int) -> None:
        super().__init__(store, after=after)
        self._check = store.check_session

    def read(self, *, limit: int) -> list[StoredRow]:
        self._check()
        return super().read(limit=limit)


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


def _chunks_of(rows: Sequence[_Numbered]) -> Iterator[list[_Numbered]]:
    chunk: list[_Numbered] = []
    size = 0
    for item in rows:
        needed = len(item[2].payload) + len(item[2].metadata)
        if chunk and (len(chunk) == _CHUNK_ROWS or size + needed > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += needed
    yield chunk


def _parameters(rows: Sequence[_Numbered], recorded_at: datetime) -> Iterator[Any]:
    recorded = _to_text(recorded_at)
    for stream, version, row in rows:
        yield from (
            stream,
            version,
            row.type,
            row.schema,
            row.slice,
            row.payload.decode(),
            row.metadata.decode(),
            _to_text(row.occurred_at),
            recorded,
        )


def _to_text(value: datetime) -> str:
    """As Django writes datetimes: naive UTC."""
    return str(value.astimezone(UTC))[:-6]  # without "+00:00"


def _stored(row: tuple[Any, ...]) -> StoredRow:
    occurred_at, recorded_at = row[7].replace(tzinfo=UTC), row[8].replace(tzinfo=UTC)
    return StoredRow._make((*row[:7], occurred_at, recorded_at))
