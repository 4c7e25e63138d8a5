"""The event store on PostgreSQL, by psycopg 3."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import DatabaseError
from psycopg.abc import AdaptContext
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format
from psycopg.types.string import ByteaBinaryLoader

from whizbang.drivers.arrays import Instants, Integers, SmallIntegers, Texts
from whizbang.drivers.errors import naming_missing_tables
from whizbang.drivers.execution import PostgresExecutor
from whizbang.drivers.stores.base import (
    NO_FILTER,
    ImportTarget,
    LogFilter,
    LogTail,
    NewRow,
    Placed,
    RawRow,
    RowsOfStream,
    StoredRow,
)
from whizbang.drivers.stores.postgres_copy import copy_lines
from whizbang.drivers.stores.postgres_pages import can_pipeline, read_pipelined
from whizbang.drivers.stores.postgres_tail import Horizon, PostgresTail
from whizbang.drivers.stores.relational import BULK_PAGE_ROWS, RelationalStore, rows_until
from whizbang.drivers.stores.statements import load_statement
from whizbang.exceptions import ConcurrencyError

SETTLE_SECONDS = 0.25
SETTLE_POLL_SECONDS = 0.01

_UNIQUE = "whizbang_event_stream_version"
_UNIQUE_VIOLATION = "23505"
_LOST_TO_ANOTHER = ("40001", "40P01")  # serialization failure, deadlock
_COPY_LINES = 100  # sent together
_RETURNING = " RETURNING position, recorded_at"
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

    def _insert(self, ordered: Sequence[RowsOfStream], bases: Sequence[int]) -> list[list[Placed]]:
        found = iter(self._execute_insert(ordered, bases, _RETURNING).fetchall())
        # A guarded version that is not there yet: then there are no rows.
        placed = [
            [
                Placed(position, version, recorded_at)
                for version, (_, (position, recorded_at)) in enumerate(
                    zip(item.rows, found, strict=False), base + 1
                )
            ]
            for item, base in zip(ordered, bases, strict=True)
        ]
        if not placed[0]:
            raise self._moved(ordered, bases)
        return placed

    def _insert_only(self, ordered: Sequence[RowsOfStream], bases: Sequence[int]) -> None:
        if not self._execute_insert(ordered, bases, "").rowcount:
            raise self._moved(ordered, bases)

    def _execute_insert(
        self, ordered: Sequence[RowsOfStream], bases: Sequence[int], returning: str
    ) -> Any:
        """The cursor of the insert, which wrote nothing where a guarded version is not there yet."""
        if len(ordered) == 1 and len(ordered[0].rows) == 1 and not _is_guarded(ordered[0]):
            sql = _insert_statement("append_event", returning)
            return self._executor().execute(sql, _parameters(ordered[0], bases[0] + 1))
        sql = _insert_statement("append_events", returning)
        return self._executor().execute(sql, _batch_parameters(ordered, bases))

    def _import(
        self,
        targets: Sequence[ImportTarget],
        versions: Sequence[int],
        rows: Iterable[NewRow],
        *,
        tell_places: bool,
    ) -> list[Placed]:
        if tell_places:
            return super()._import(targets, versions, rows, tell_places=True)
        connection = self.connection
        connection.validate_no_broken_transaction()
        with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
            recorded_at = cursor.execute("SELECT clock_timestamp()::text").fetchone()[0]  # type: ignore[index]
            lines = copy_lines(targets, versions, rows, recorded_at=recorded_at)
            # Positions are the column's default, drawn row by row: readers see an open writer.
            with cursor.copy(load_statement(self.vendor, "copy_events").encode()) as copy:
                while block := b"".join(islice(lines, _COPY_LINES)):
                    copy.write(block)
        return []

    def refresh_statistics(self) -> bool:
        """Without them, a read by type sorts the rest of the log for each page."""
        with self.connection.cursor() as cursor:
            cursor.execute("ANALYZE whizbang_event")
        return True

    def index_events(self, *, first: int, last: int) -> bool:
        """By one statement inside the server, which spares the worker all that the entries cost it."""
        self._executor().execute(load_statement(self.vendor, "index_events"), [first, last])
        return True

    def _executor(self) -> PostgresExecutor:
        """One a connection, with loaders of our own."""
        connection = self.connection
        found: PostgresExecutor | None = connection.__dict__.get("_whizbang_store_executor")
        if found is None:
            found = PostgresExecutor(connection, adapt=_load_quickly)
            connection.__dict__["_whizbang_store_executor"] = found
        return found

    def _as_conflict(
        self, exc: DatabaseError, ordered: Sequence[RowsOfStream], bases: Sequence[int]
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

    def read_pages(
        self, *, after: int, until: int, filter: LogFilter = NO_FILTER
    ) -> Generator[Sequence[RawRow], None, None]:
        if not can_pipeline(self.connection):
            yield from super().read_pages(after=after, until=until, filter=filter)
            return
        sql, params = self._page_statement(until, filter)
        pages = read_pipelined(
            self.connection.copy(),
            sql,
            params,
            after=after,
            page_rows=BULK_PAGE_ROWS,
            adapt=_load_quickly,
        )
        with closing(pages):
            for rows in pages:
                yield rows_until(until, rows)

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


@cache
def _insert_statement(name: str, returning: str) -> str:
    return load_statement(PostgresStore.vendor, name) + returning


def _parameters(item: RowsOfStream, version: int) -> list[Any]:
    row = item.rows[0]
    return [
        item.stream,
        version,
        row.type,
        row.schema,
        row.slice,
        row.payload.decode(),
        row.metadata.decode(),
        row.occurred_at,
    ]


def _batch_parameters(
    ordered: Sequence[RowsOfStream], bases: Sequence[int]
) -> dict[str, list[Any]]:
    streams, versions = Texts(), Integers()
    for item, base in zip(ordered, bases, strict=True):
        streams += [item.stream] * len(item.rows)
        versions += range(base + 1, base + len(item.rows) + 1)
    types, schemas, slices, payloads, metadatas, occurred_ats = zip(
        *(row for item in ordered for row in item.rows), strict=True
    )
    guarded = [
        (item.stream, base) for item, base in zip(ordered, bases, strict=True) if _is_guarded(item)
    ]
    return {
        "streams": streams,
        "versions": versions,
        "types": Texts(types),
        "schemas": SmallIntegers(schemas),
        "slices": SmallIntegers(slices),
        "payloads": Texts(map(bytes.decode, payloads)),
        "metadatas": Texts(map(bytes.decode, metadatas)),
        "occurred_ats": Instants(occurred_ats),
        "guarded_streams": Texts(stream for stream, _ in guarded),
        "guarded_versions": Integers(version for _, version in guarded),
    }


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
