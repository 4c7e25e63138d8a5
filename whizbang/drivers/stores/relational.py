"""What the event stores on Django's own databases share: planning appends and paging reads."""

from __future__ import annotations

import random
import time
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any, ClassVar, TypeVar

from django.db import DatabaseError, IntegrityError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from whizbang.drivers.errors import naming_missing_tables
from whizbang.drivers.stores.base import (
    ANY,
    NO_FILTER,
    STREAM_EXISTS,
    EventStoreDriver,
    Expectation,
    ImportTarget,
    LogFilter,
    NewRow,
    Placed,
    RawRow,
    RowsOfStream,
    StateRow,
    StoredRow,
    is_lost_race,
)
from whizbang.drivers.stores.statements import load_statement
from whizbang.exceptions import ConcurrencyError

PAGE_ROWS = 1000
BULK_PAGE_ROWS = 2000  # of a whole history
ANY_ATTEMPTS = 50  # tries of an append without an exact version against other writers
ANY_PAUSE_SECONDS = 0.001

Where = tuple[list[str], list[Any]]  # conditions joined by AND, and their parameters
R = TypeVar("R")
Row = TypeVar("Row", bound=RawRow)
Insert = Callable[[Sequence[RowsOfStream], Sequence[int]], R]  # writes rows above versions
Written = tuple[list[int], R]  # the versions, and what the insert answered

_MOST = 2**31 - 1  # the largest version an integer column holds


class RelationalStore(EventStoreDriver):
    """An event store in the table `whizbang_event` of a Django database."""

    vendor: ClassVar[str]
    columns: ClassVar[str]  # select list that gives a StoredRow
    payload_column: ClassVar[str] = "payload"
    # A lost race may end the caller's transaction: then only the caller can append again.
    attempts_inside: ClassVar[int] = 1
    schema_column: ClassVar[str] = "schema"
    # Where a page of several streams begins; the parameters are `_place`.
    _after_place: ClassVar[str] = "(stream, version) > (%s, %s)"

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """This thread's connection to the store's database."""
        return connections[self.using]

    # Writing

    def append(self, streams: Sequence[RowsOfStream]) -> list[list[Placed]]:
        ordered = _in_order(streams)
        if not ordered:
            return [[] for _ in streams]
        _, placed = self._write(ordered, self._insert)
        if len(ordered) == len(streams) == 1:
            return placed
        by_stream = dict(zip((item.stream for item in ordered), placed, strict=True))
        return [by_stream.get(item.stream, []) for item in streams]

    def append_only(self, streams: Sequence[RowsOfStream]) -> list[int]:
        ordered = _in_order(streams)
        if not ordered:
            return [0] * len(streams)
        bases, _ = self._write(ordered, self._insert_only)
        if len(ordered) == len(streams) == 1:
            return [bases[0] + len(ordered[0].rows)]
        versions = {i.stream: base + len(i.rows) for i, base in zip(ordered, bases, strict=True)}
        return [versions.get(item.stream, 0) for item in streams]

    def _write(self, ordered: Sequence[RowsOfStream], insert: Insert[R]) -> Written[R]:
        with naming_missing_tables(self.using):
            attempts = self._attempts(ordered)
            for attempt in range(1, attempts):
                try:
                    return self._write_once(ordered, insert)
                except ConcurrencyError as exc:
                    if not is_lost_race(exc):
                        raise
                time.sleep(random.random() * ANY_PAUSE_SECONDS * attempt)
            return self._write_once(ordered, insert)

    def _attempts(self, ordered: Sequence[RowsOfStream]) -> int:
        for item in ordered:
            if isinstance(item.expected, Expectation):
                return ANY_ATTEMPTS if self.connection.get_autocommit() else self.attempts_inside
        return 1

    def _write_once(self, ordered: Sequence[RowsOfStream], insert: Insert[R]) -> Written[R]:
        bases = self._resolve_bases(ordered)
        try:
            return bases, insert(ordered, bases)
        except (IntegrityError, OperationalError) as exc:
            conflict = self._as_conflict(exc, ordered, bases)
            if conflict is None:
                raise
            raise conflict from exc

    def _resolve_bases(self, ordered: Sequence[RowsOfStream]) -> list[int]:
        """Version each stream is taken to be at, read where `expected` does not say it."""
        asked = [item.stream for item in ordered if self._needs_version(item)]
        if not asked:
            return [item.expected for item in ordered]  # type: ignore[misc]
        read = self._versions(asked)
        return [_base_of(item, read.get(item.stream)) for item in ordered]

    def _needs_version(self, item: RowsOfStream) -> bool:
        return isinstance(item.expected, Expectation)

    def _moved(self, ordered: Sequence[RowsOfStream], bases: Sequence[int]) -> ConcurrencyError:
        """The conflict behind a failed insert, told by reading the versions again."""
        versions = self._versions([item.stream for item in ordered])
        moved = [
            item for item, base in zip(ordered, bases, strict=True) if versions[item.stream] != base
        ] or list(ordered)
        # An exact version cannot be retried here, so it decides when there are several.
        worst = next((s for s in moved if not isinstance(s.expected, Expectation)), moved[0])
        return ConcurrencyError(worst.stream, worst.expected, versions[worst.stream])

    def import_rows(
        self, targets: Sequence[ImportTarget], rows: Iterable[NewRow], *, tell_places: bool
    ) -> list[Placed]:
        with naming_missing_tables(self.using):
            bases = self._versions(list({target.stream for target in targets}))
            versions = _next_versions(targets, bases)
            try:
                return self._import(targets, versions, rows, tell_places=tell_places)
            except (IntegrityError, OperationalError) as exc:
                streams = _expectations(targets)
                conflict = self._as_conflict(exc, streams, [bases[s.stream] for s in streams])
                if conflict is None:
                    raise
                raise conflict from exc

    def append_copies(
        self, targets: Sequence[ImportTarget], rows: Sequence[NewRow]
    ) -> list[Placed]:
        versions = [target.version or 0 for target in targets]
        with naming_missing_tables(self.using):
            try:
                return self._import(targets, versions, rows, tell_places=True)
            except (IntegrityError, OperationalError) as exc:
                streams = _expectations(targets)
                bases = [stream.expected for stream in streams]
                conflict = self._as_conflict(exc, streams, bases)  # type: ignore[arg-type]
                if conflict is None:
                    raise
                raise conflict from exc

    def _import(
        self,
        targets: Sequence[ImportTarget],
        versions: Sequence[int],
        rows: Iterable[NewRow],
        *,
        tell_places: bool,
    ) -> list[Placed]:
        """Write rows in their order, by few statements; `versions` are those they get."""
        places: list[Placed] = []
        for part, bases in _parts_without_return(targets, versions, rows):
            for found in self._insert(part, bases):
                places.extend(found)
        return places

    @abstractmethod
    def _insert(self, ordered: Sequence[RowsOfStream], bases: Sequence[int]) -> list[list[Placed]]:
        """Write the rows above their bases, all or none, positions ascending in row order."""

    def _insert_only(self, ordered: Sequence[RowsOfStream], bases: Sequence[int]) -> None:
        """See `_insert`, for who does not ask for the places."""
        self._insert(ordered, bases)

    @abstractmethod
    def _as_conflict(
        self, exc: DatabaseError, ordered: Sequence[RowsOfStream], bases: Sequence[int]
    ) -> ConcurrencyError | None:
        """The conflict that a database error means, None when it means something else."""

    # Reading

    def read_stream(
        self,
        stream: str,
        *,
        after: int = 0,
        until: int | None = None,
        as_of: datetime | None = None,
        occurred_until: datetime | None = None,
        backwards: bool = False,
        limit: int | None = None,
    ) -> Iterator[StoredRow]:
        low, high, left = after, until, limit
        while left is None or left > 0:
            where, params = self._stream_conditions(stream, low, high, as_of, occurred_until)
            size = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
            order = "version DESC" if backwards else "version"
            rows = self._read(self._page_sql(where, order), [*params, size])
            yield from rows
            if len(rows) < size:
                return
            left = None if left is None else left - len(rows)
            if backwards:
                high = rows[-1].version - 1
            else:
                low = rows[-1].version

    def read_state(
        self, stream: str, *, after: int = 0, until: int | None = None
    ) -> Iterator[StateRow]:
        low = after
        while True:
            rows = self._fetch(
                self._state_sql, [stream, low, _MOST if until is None else until, PAGE_ROWS]
            )
            yield from rows
            if len(rows) < PAGE_ROWS:
                return
            low = rows[-1][0]

    @property
    def _state_sql(self) -> str:
        return (
            f"SELECT version, type, {self.schema_column}, {self.payload_column} FROM whizbang_event "
            "WHERE stream = %s AND version > %s AND version <= %s ORDER BY version LIMIT %s"
        )

    def _stream_conditions(
        self,
        stream: str,
        low: int,
        high: int | None,
        as_of: datetime | None,
        occurred_until: datetime | None,
    ) -> Where:
        where, params = ["stream = %s", "version > %s"], [stream, low]
        _add(where, params, "version <= %s", high)
        _add(where, params, "recorded_at <= %s", self._instant(as_of))
        _add(where, params, "occurred_at <= %s", self._instant(occurred_until))
        return where, params

    def read_streams(self, streams: Sequence[str]) -> Iterator[StoredRow]:
        where = [self._is_in("stream"), self._after_place]
        sql, members = self._page_sql(where, "stream, version"), self._members(streams)
        last: tuple[str, int] = ("", 0)
        while True:
            rows = self._read(sql, [members, *self._place(*last), PAGE_ROWS])
            yield from rows
            if len(rows) < PAGE_ROWS:
                return
            last = (rows[-1].stream, rows[-1].version)

    def read_by_stream(self) -> Iterator[StoredRow]:
        # Two plain conditions: MariaDB finds no range in a comparison of (stream, version).
        rest = self._page_sql(["stream = %s", "version > %s"], "version")
        others = self._page_sql(["stream > %s"], "stream, version")
        stream, version = "", 0
        while True:
            rows = self._scan(rest, [stream, version, PAGE_ROWS]) if stream else []
            if len(rows) < PAGE_ROWS:
                rows += self._scan(others, [stream, PAGE_ROWS - len(rows)])
            yield from rows
            if len(rows) < PAGE_ROWS:
                return
            stream, version = rows[-1].stream, rows[-1].version

    def _place(self, stream: str, version: int) -> tuple[Any, ...]:
        return stream, version

    def read_log(
        self, *, after: int, until: int, limit: int | None, filter: LogFilter = NO_FILTER
    ) -> Iterator[StoredRow]:
        read_page = self._page_reader(until, filter)
        low, left = after, limit
        while left is None or left > 0:
            size = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
            rows = read_page(low, size)
            yield from rows
            if len(rows) < size:
                return
            low = rows[-1].position
            left = None if left is None else left - len(rows)

    def read_pages(
        self, *, after: int, until: int, filter: LogFilter = NO_FILTER
    ) -> Generator[Sequence[RawRow], None, None]:
        read_page = self._page_reader(until, filter)
        rows: Sequence[StoredRow] = read_page(after, BULK_PAGE_ROWS)
        while rows:
            yield rows
            if len(rows) < BULK_PAGE_ROWS:
                return
            rows = read_page(rows[-1].position, BULK_PAGE_ROWS)

    def _page_reader(
        self, until: int, filter: LogFilter
    ) -> Callable[[int, int], Sequence[StoredRow]]:
        """f(after, rows) that reads a page; one that is not full is the last."""
        sql, params = self._page_statement(until, filter)

        def read_page(after: int, size: int) -> Sequence[StoredRow]:
            return rows_until(until, self._scan(sql, [after, *params, size]))

        return read_page

    def _page_statement(self, until: int, filter: LogFilter) -> tuple[str, list[Any]]:
        """Its parameters stand between the position to go on from and the limit."""
        where, params = self._log_conditions(filter)
        if where:  # else a page that is not full would be looked for up to the end of the log
            where.append("position <= %s")
            params.append(until)
        # Without conditions it is cut afterwards: while PostgreSQL has no statistics of new events, it takes
        # two bounds for a narrow range, and sorts all that is left for every page.
        return self._page_sql(["position > %s", *where], "position"), params

    def count_log(self, *, after: int, until: int, filter: LogFilter = NO_FILTER) -> int:
        where, params = self._log_conditions(filter)
        conditions = " AND ".join(["position > %s", "position <= %s", *where])
        sql = f"SELECT count(*) FROM whizbang_event WHERE {conditions}"
        with naming_missing_tables(self.using), self.connection.cursor() as cursor:
            cursor.execute(sql, [after, until, *params])
            return int(cursor.fetchone()[0])

    def read_after(self, position: int, *, limit: int) -> list[StoredRow]:
        """Visible events after a position, settled or not: what a tail builds on."""
        return self._scan(self._page_sql(["position > %s"], "position"), [position, limit])

    def _log_conditions(self, filter: LogFilter) -> Where:
        where: list[str] = []
        params: list[Any] = []
        _add(where, params, self._is_in("type"), self._members(filter.types))
        _add(where, params, self._is_in(self._category_sql), self._members(filter.categories))
        _add(where, params, self._is_in("slice"), self._members(filter.slices))
        _add(where, params, self._is_in("stream"), self._members(filter.streams))
        _add(where, params, self._is_in("position"), self._members(filter.positions))
        _add(where, params, "recorded_at >= %s", self._instant(filter.since))
        _add(where, params, "recorded_at < %s", self._instant(filter.before))
        _add(where, params, "occurred_at >= %s", self._instant(filter.occurred_since))
        _add(where, params, "occurred_at < %s", self._instant(filter.occurred_before))
        return where, params

    def _page_sql(self, where: Sequence[str], order: str) -> str:
        conditions = " AND ".join(where)
        return f"SELECT {self.columns} FROM whizbang_event WHERE {conditions} ORDER BY {order} LIMIT %s"

    def stream_version(self, stream: str) -> int:
        return self._versions([stream])[stream]

    def stream_versions(self, streams: Sequence[str]) -> dict[str, int]:
        return self._versions(streams) if streams else {}

    def _versions(self, streams: Sequence[str]) -> dict[str, int]:
        """Last version of each stream, 0 for one without events."""
        sql = load_statement(self.vendor, "read_versions")
        with naming_missing_tables(self.using), self.connection.cursor() as cursor:
            cursor.execute(sql, [self._members(streams)])
            return {stream: version or 0 for stream, version in cursor.fetchall()}

    def last_position(self) -> int:
        """Position of the last visible event, 0 when there is none."""
        with naming_missing_tables(self.using), self.connection.cursor() as cursor:
            cursor.execute("SELECT max(position) FROM whizbang_event")
            return cursor.fetchone()[0] or 0

    @abstractmethod
    def _fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows of a small read on the hot path."""

    @abstractmethod
    def _read(self, sql: str, params: Sequence[Any]) -> list[StoredRow]:
        """A page through Django's cursor, so that it is counted and logged like any query."""

    @abstractmethod
    def _scan(self, sql: str, params: Sequence[Any]) -> list[StoredRow]:
        """A page of a big scan, the quickest way there is."""

    # Dialect

    _category_sql: ClassVar[str]  # the stream's name up to its first "-"

    @abstractmethod
    def _is_in(self, expression: str) -> str:
        """A condition with one parameter made by `_members`."""

    @abstractmethod
    def _members(self, values: Sequence[Any] | None) -> Any:
        """A list as one parameter; None stays None."""

    @abstractmethod
    def _instant(self, value: datetime | None) -> Any:
        """An aware datetime as a parameter; None stays None."""


def _add(where: list[str], params: list[Any], condition: str, value: Any) -> None:
    if value is not None:
        where.append(condition)
        params.append(value)


def _base_of(item: RowsOfStream, current: int | None) -> int:
    """The version to write after; `current` is None where it was not read."""
    if isinstance(item.expected, Expectation):
        assert current is not None
        if item.expected is STREAM_EXISTS and current == 0:
            raise ConcurrencyError(item.stream, item.expected, 0)
        return current
    if current is not None and current != item.expected:
        raise ConcurrencyError(item.stream, item.expected, current)
    return item.expected


def _next_versions(targets: Sequence[ImportTarget], bases: dict[str, int]) -> list[int]:
    """The version that each gets. Raises ConcurrencyError for one given that is not the next."""
    reached = dict(bases)
    versions: list[int] = []
    for stream, version in targets:
        following = reached[stream] + 1
        if version is not None and version != following:
            raise ConcurrencyError(stream, version - 1, following - 1)
        reached[stream] = following
        versions.append(following)
    return versions


def _expectations(targets: Sequence[ImportTarget]) -> list[RowsOfStream]:
    """What the import expects of each of its streams, by the first event that it has for it."""
    found: dict[str, RowsOfStream] = {}
    for stream, version in targets:
        if stream not in found:
            found[stream] = RowsOfStream(stream, ANY if version is None else version - 1, ())
    return list(found.values())


def _parts_without_return(
    targets: Sequence[ImportTarget], versions: Sequence[int], rows: Iterable[NewRow]
) -> Iterator[tuple[list[RowsOfStream], list[int]]]:
    """Parts in which the rows of each stream stand together, without a hole, so that one insert keeps the order."""
    part: dict[str, list[NewRow]] = {}
    bases: list[int] = []
    last: str | None = None
    for (stream, _), version, row in zip(targets, versions, rows, strict=True):
        if stream in part and (stream != last or version != bases[-1] + len(part[stream]) + 1):
            yield [RowsOfStream(name, ANY, found) for name, found in part.items()], bases
            part, bases = {}, []
        if stream not in part:
            part[stream] = []
            bases.append(version - 1)
        part[stream].append(row)
        last = stream
    if part:
        yield [RowsOfStream(name, ANY, found) for name, found in part.items()], bases


def _in_order(streams: Sequence[RowsOfStream]) -> list[RowsOfStream]:
    """Those with rows, sorted by stream. Raises ValueError for a stream that is named twice."""
    ordered = [item for item in streams if item.rows]
    if len(ordered) > 1:
        ordered.sort(key=attrgetter("stream"))
        for one, other in zip(ordered, ordered[1:], strict=False):
            if one.stream == other.stream:
                raise ValueError(
                    f"Stream {one.stream!r} is named twice in one append: join its events."
                )
    return ordered


def rows_until(until: int, rows: Sequence[Row]) -> Sequence[Row]:
    """A page without what comes behind a position; as it is where nothing does."""
    if rows and rows[-1][0] > until:
        return rows[: bisect_right(rows, until, key=itemgetter(0))]
    return rows
