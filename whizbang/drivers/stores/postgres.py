"""The event store on PostgreSQL, by psycopg 3."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import DatabaseError
from psycopg.abc import AdaptContext
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format
from psycopg.types.string import ByteaBinaryLoader

from whizbang.drivers.errors import naming_missing_tables
from whizbang.drivers.execution import PostgresExecutor
from whizbang.drivers.stores.base import (
    ImportRow,
    LogTail,
    NewRow,
    Placed,
    RowsOfStream,
    StoredRow,
)
from whizbang.drivers.stores.postgres_tail import Horizon, PostgresTail
from whizbang.drivers.stores.relational import RelationalStore
from whizbang.drivers.stores.statements import load_statement
from whizbang.exceptions import ConcurrencyError

SETTLE_SECONDS = 0.25
SETTLE_POLL_SECONDS = 0.01

_UNIQUE = "whizbang_event_stream_version"
_UNIQUE_VIOLATION = "23505"
_LOST_TO_ANOTHER = ("40001", "40P01")  # serialization failure, deadlock
_KEY_OF_DETAIL = re.compile(r"=\((.*), \d+\)")
_TIMESTAMPTZ = psycopg.adapters.types["timestamptz"].oid


class _BytesLoader(Loader):
    """JSON text as the bytes it is; parsing is the typed face's."""

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


class PostgresStore(RelationalStore):
    """Events in PostgreSQL, payload and metadata as jsonb; appends cost a bare insert."""

    vendor = "postgresql"
    # As text: it is plain in both wire formats, and the server need not parse it again as it does for json.
    columns = (
        "position, stream, version, type, schema, payload::text, metadata::text,"
        " occurred_at, recorded_at"
    )
    payload_column = "payload::text"
    _category_sql = "split_part(stream, '-', 1)"

    def __init__(self, *, using: str, options: dict[str, Any] | None = None) -> None:
        super().__init__(using=using, options=options)
        self._horizons: WeakKeyDictionary[Any, Horizon] = WeakKeyDictionary()

    # Writing

    def _insert(
        self, ordered: Sequence[RowsOfStream], bases: dict[str, int]
    ) -> dict[str, list[Placed]]:
        if len(ordered) == 1 and len(ordered[0].rows) == 1 and not _is_guarded(ordered[0]):
            found = self._insert_one(ordered[0], bases[ordered[0].stream] + 1)
        else:
            found = self._insert_all(ordered, bases)
        if not found:
            raise self._moved(ordered, bases)
        answers = iter(found)
        return {
            item.stream: [
                Placed(position, version, recorded_at)
                for version, (_, (position, recorded_at)) in enumerate(
                    zip(item.rows, answers, strict=False), bases[item.stream] + 1
                )
            ]
            for item in ordered
        }

    def _import(
        self, rows: Sequence[ImportRow], bases: dict[str, int], *, tell_places: bool
    ) -> list[Placed]:
        if tell_places:
            return super()._import(rows, bases, tell_places=True)
        reached = dict(bases)
        connection = self.connection
        connection.validate_no_broken_transaction()
        with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
            recorded_at = cursor.execute("SELECT clock_timestamp()::text").fetchone()[0]  # type: ignore[index]
            # Positions are the column's default, drawn row by row: readers see an open writer.
            with cursor.copy(load_statement(self.vendor, "copy_events").encode()) as copy:
                for stream, _, row in rows:
                    reached[stream] = version = reached[stream] + 1
                    copy.write_row((stream, version, *_texts_of(row), recorded_at))
        return []

    def refresh_statistics(self) -> bool:
        """Without them, a read by type sorts the rest of the log for each page."""
        with self.connection.cursor() as cursor:
            cursor.execute("ANALYZE whizbang_event")
        return True

    def _insert_one(self, item: RowsOfStream, version: int) -> list[tuple[int, datetime]]:
        row = item.rows[0]
        params = [
            item.stream,
            version,
            row.type,
            row.schema,
            row.slice,
            row.payload.decode(),
            row.metadata.decode(),
            row.occurred_at,
        ]
        return self._fetch_places(load_statement(self.vendor, "append_event"), params)

    def _insert_all(
        self, ordered: Sequence[RowsOfStream], bases: dict[str, int]
    ) -> list[tuple[int, datetime]]:
        rows = [
            (item.stream, version, row)
            for item in ordered
            for version, row in enumerate(item.rows, bases[item.stream] + 1)
        ]
        params = _batch_parameters(rows)
        guarded = [item for item in ordered if _is_guarded(item)]
        params["guarded_streams"] = [item.stream for item in guarded]
        params["guarded_versions"] = [item.expected for item in guarded]
        return self._fetch_places(load_statement(self.vendor, "append_events"), params)

    def _fetch_places(self, sql: str, params: Any) -> list[tuple[int, datetime]]:
        places: list[tuple[int, datetime]] = self._executor().execute(sql, params).fetchall()
        return places

    def _executor(self) -> PostgresExecutor:
        """One a connection, with loaders of our own."""
        connection = self.connection
        found: PostgresExecutor | None = connection.__dict__.get("_whizbang_store_executor")
        if found is None:
            found = PostgresExecutor(connection, adapt=_load_quickly)
            connection.__dict__["_whizbang_store_executor"] = found
        return found

    def _as_conflict(
        self, exc: DatabaseError, ordered: Sequence[RowsOfStream], bases: dict[str, int]
    ) -> ConcurrencyError | None:
        cause = _psycopg_error(exc)
        if cause.sqlstate in _LOST_TO_ANOTHER:
            first = ordered[0]
            conflict = ConcurrencyError(first.stream, first.expected, None)
        elif cause.sqlstate == _UNIQUE_VIOLATION and cause.diag.constraint_name == _UNIQUE:
            if self.connection.get_autocommit():
                return self._moved(ordered, bases)
            hit = _stream_of(cause, ordered)
            conflict = ConcurrencyError(hit.stream, hit.expected, None)
        else:
            return None
        if self.connection.in_atomic_block:
            self.connection.set_rollback(True)
        return conflict

    # Reading

    def _read(self, sql: str, params: Sequence[Any]) -> list[StoredRow]:
        return list(map(StoredRow._make, self._fetch(sql, params)))

    def _fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        with naming_missing_tables(self.using):
            found: list[tuple[Any, ...]] = self._executor().execute(sql, params).fetchall()
        return found

    def _scan(self, sql: str, params: Sequence[Any]) -> list[StoredRow]:
        connection = self.connection
        connection.ensure_connection()
        connection.validate_no_broken_transaction()
        with naming_missing_tables(self.using), connection.wrap_database_errors:
            with psycopg.Cursor(connection.connection) as cursor:
                cursor.format = Format.BINARY
                _load_quickly(cursor)
                # Only this module's own constant texts come here.
                cursor.execute(sql.encode(), params)
                return list(map(StoredRow._make, cursor.fetchall()))

    # The settled end

    def settled_head(self) -> int:
        """See the base; looks for at most 250 ms, then gives the end that has no hole before it."""
        head = self.last_position()
        horizon = self._horizon()
        deadline = time.monotonic() + SETTLE_SECONDS
        horizon.look(self.connection, seen=head)
        while horizon.position < head:
            if time.monotonic() >= deadline:
                return self._contiguous_end(horizon, head)
            time.sleep(SETTLE_POLL_SECONDS)
            horizon.look(self.connection, seen=head)
        return head

    def _horizon(self) -> Horizon:
        """What this connection has learned so far; a new connection starts anew."""
        connection = self.connection
        connection.ensure_connection()
        found = self._horizons.get(connection.connection)
        if found is None:
            found = self._horizons[connection.connection] = Horizon()
        return found

    def _contiguous_end(self, horizon: Horizon, head: int) -> int:
        sql = load_statement(self.vendor, "read_contiguous_end")
        while horizon.position < head:
            with self.connection.cursor() as cursor:
                cursor.execute(sql, {"floor": horizon.position})
                end = cursor.fetchone()[0]
            if end is None:
                break
            horizon.position = end
        return min(horizon.position, head)

    def hold_appends(self) -> None:
        """Conflicts with every insert and with another holder, and with nothing that reads."""
        with self.connection.cursor() as cursor:
            cursor.execute("LOCK TABLE whizbang_event IN SHARE ROW EXCLUSIVE MODE")

    def tail(self, *, after: int) -> LogTail:
        return PostgresTail(self, after=after)

    # Dialect

    def _is_in(self, expression: str) -> str:
        return f"{expression} = ANY(%s)"

    def _members(self, values: Sequence[Any] | None) -> Any:
        return None if values is None else list(values)

    def _instant(self, value: datetime | None) -> Any:
        return value


def _is_guarded(item: RowsOfStream) -> bool:
    return isinstance(item.expected, int) and item.expected != 0 and not item.is_expected_read


def _batch_parameters(rows: Sequence[tuple[str, int, NewRow]]) -> dict[str, list[Any]]:
    return {
        "streams": [stream for stream, _, _ in rows],
        "versions": [version for _, version, _ in rows],
        "types": [row.type for _, _, row in rows],
        "schemas": [row.schema for _, _, row in rows],
        "slices": [row.slice for _, _, row in rows],
        "payloads": [row.payload.decode() for _, _, row in rows],
        "metadatas": [row.metadata.decode() for _, _, row in rows],
        "occurred_ats": [row.occurred_at for _, _, row in rows],
    }


def _texts_of(row: NewRow) -> tuple[Any, ...]:
    return (
        row.type,
        row.schema,
        row.slice,
        row.payload.decode(),
        row.metadata.decode(),
        row.occurred_at,
    )


def _load_quickly(cursor: AdaptContext) -> None:
    """Give this cursor psycopg's own timestamps (Django's are Python) and documents as bytes."""
    adapters = cursor.adapters
    # The names beside them are varchar, which stays str.
    adapters.register_loader("text", _BytesLoader)
    adapters.register_loader("text", ByteaBinaryLoader)
    for format in (Format.TEXT, Format.BINARY):
        loader = psycopg.adapters.get_loader(_TIMESTAMPTZ, format)
        assert loader is not None
        adapters.register_loader(_TIMESTAMPTZ, loader)


def _psycopg_error(exc: DatabaseError) -> psycopg.Error:
    """The driver's error that Django wrapped; an empty one when Django raised by itself."""
    return exc.__cause__ if isinstance(exc.__cause__, psycopg.Error) else psycopg.Error()


def _stream_of(cause: psycopg.Error, ordered: Sequence[RowsOfStream]) -> RowsOfStream:
    """The stream in the server's detail "Key (stream, version)=(orders.Order-1, 3) …"."""
    match = _KEY_OF_DETAIL.search(cause.diag.message_detail or "")
    name = match.group(1) if match else None
    return next((item for item in ordered if item.stream == name), ordered[0])
