"""The contract of an event store driver. Drivers see bytes; `whizbang.store` is the typed face."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from itertools import islice
from typing import Any, NamedTuple

from whizbang.exceptions import ConcurrencyError


class Expectation(Enum):
    """What a writer may expect of a stream besides an exact version."""

    ANY = "any version"
    STREAM_EXISTS = "an existing stream"

    def __repr__(self) -> str:
        return self.name


_PAGE_ROWS = 1000
ANY = Expectation.ANY
STREAM_EXISTS = Expectation.STREAM_EXISTS
NO_STREAM = 0

Expected = int | Expectation


def is_lost_race(exc: ConcurrencyError) -> bool:
    """Was only the version we read ourselves out of date?"""
    if not isinstance(exc.expected, Expectation):
        return False
    return not (exc.expected is STREAM_EXISTS and exc.actual == 0)


class NewRow(NamedTuple):
    """One event on its way into the store."""

    type: str
    schema: int  # version of the payload's schema, from 1
    slice: int  # crc32 of the stream's name modulo 1024
    payload: bytes
    metadata: bytes
    occurred_at: datetime


class StoredRow(NamedTuple):
    """One event as the store gives it back; payload and metadata in the driver's format."""

    position: int
    stream: str
    version: int
    type: str
    schema: int
    payload: bytes
    metadata: bytes
    occurred_at: datetime
    recorded_at: datetime

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return len(self.payload) + len(self.metadata) + 200

    @classmethod
    def of(cls, stream: str, row: NewRow, place: Placed) -> StoredRow:
        """What was appended, as it is read."""
        return cls(
            place.position,
            stream,
            place.version,
            row.type,
            row.schema,
            row.payload,
            row.metadata,
            row.occurred_at,
            place.recorded_at,
        )


# The same, as whoever reads a whole history gets it: a plain tuple is not looked at by the collector.
RawRow = tuple[int, str, int, str, int, bytes, bytes, datetime, datetime]

# The part of a stored event that an aggregate's state follows from: version, type, schema, payload.
StateRow = tuple[int, str, int, bytes]


class RowsOfStream(NamedTuple):
    """New events of one stream and where the writer expects the stream to be."""

    stream: str
    expected: Expected
    rows: Sequence[NewRow]
    is_expected_read: bool = False  # the expected version was read from committed data


class ImportTarget(NamedTuple):
    """Where one event of a bulk import goes; without a version it follows what the stream has."""

    stream: str
    version: int | None


class Placed(NamedTuple):
    """Where one appended event landed."""

    position: int
    version: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which events of the whole log are wanted; None means all. Times are aware datetimes."""

    types: Sequence[str] | None = None
    categories: Sequence[str] | None = None  # the stream's name up to its first "-"
    slices: Sequence[int] | None = None
    streams: Sequence[str] | None = None  # whole names
    positions: Sequence[int] | None = None
    since: datetime | None = None  # recorded_at >= since
    before: datetime | None = None  # recorded_at < before
    occurred_since: datetime | None = None
    occurred_before: datetime | None = None


NO_FILTER = LogFilter()


class LogTail(ABC):
    """Follows the end of one log for one connection and tells what is settled there.

    A tail hands out every event at or below its mark that will ever exist, once, in position order.
    """

    @abstractmethod
    def read(self, *, limit: int) -> list[StoredRow]:
        """Next settled events after the mark, at most `limit`; moves the mark. Empty: wait and ask again."""

    @property
    @abstractmethod
    def mark(self) -> int:
        """Position up to which everything was handed out."""

    @abstractmethod
    def explain(self) -> list[str]:
        """Who holds the end of the log back right now, a line each; empty when nobody does."""


class EventStoreDriver(ABC):
    """An event store on one database alias. Everything runs in the caller's Django transaction."""

    # Does a transaction that commits later always have higher positions?
    commit_order_is_position_order: bool = False
    # Are payload and metadata JSON text (True), or MessagePack (False)?
    supports_json: bool = True
    # Does a refused append leave the caller's transaction usable?
    conflict_keeps_transaction: bool = False

    def __init__(self, *, using: str, options: dict[str, Any] | None = None) -> None:
        self.using = using
        self.options = dict(options or {})

    @abstractmethod
    def append(self, streams: Sequence[RowsOfStream]) -> list[list[Placed]]:
        """Append events to one or more streams with one statement; all are stored or none.

        Gives the places in the order of the arguments. Rows are written in the streams' sorted
        order, so that two writers cannot deadlock. Raises `ConcurrencyError` when a stream is not
        where `expected` says; in a transaction that cannot go on afterwards, it is marked for rollback.
        """

    def append_only(self, streams: Sequence[RowsOfStream]) -> list[int]:
        """See `append`; gives the streams' new versions alone, 0 for one without rows.

        Drivers make it quicker: nobody waits for the places.
        """
        return [placed[-1].version if placed else 0 for placed in self.append(streams)]

    def import_rows(
        self, targets: Sequence[ImportTarget], rows: Iterable[NewRow], *, tell_places: bool
    ) -> list[Placed]:
        """Append events of any streams in the order given, in the caller's open transaction.

        `rows` go to the targets one by one, and may be made while the database takes those before:
        making them must not use its connection. Gives their places if `tell_places`, else an empty
        list, which may be much quicker. Raises `ConcurrencyError` when a version that is given is
        not the next of its stream.
        """
        places: list[Placed] = []
        for (stream, version), row in zip(targets, rows, strict=True):
            expected = ANY if version is None else version - 1
            places.extend(self.append([RowsOfStream(stream, expected, [row])])[0])
        return places

    def append_copies(
        self, targets: Sequence[ImportTarget], rows: Sequence[NewRow]
    ) -> list[Placed]:
        """Append events of other logs in the order given, each under the version that its target names, in the
        caller's open transaction; gives their places.

        What comes before it in its stream need not be there. Raises `ConcurrencyError` when an event is
        there already.
        """
        places: list[Placed] = []
        for (stream, version), row in zip(targets, rows, strict=True):
            item = RowsOfStream(stream, (version or 0) - 1, [row], is_expected_read=True)
            places.extend(self.append([item])[0])
        return places

    def refresh_statistics(self) -> bool:
        """Called after a big import: a planner that thinks the log is small reads it badly.

        Tells whether there was anything to do.
        """
        return False

    def index_events(self, *, first: int, last: int) -> bool:
        """Make the entries of the index of events for first <= position <= last, where this can be done without
        reading them; False, and nothing done, where it cannot.

        In the caller's transaction; all of them are settled. Raises for metadata that cannot be read.
        """
        return False

    @abstractmethod
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
        """Events of one stream with after < version <= until, by version, in bounded memory.

        `as_of` keeps those recorded at or before it, `occurred_until` those that occurred by then.
        """

    def read_state(
        self, stream: str, *, after: int = 0, until: int | None = None
    ) -> Iterator[StateRow]:
        """What loading an aggregate needs of a stream's events; drivers make it quicker."""
        for row in self.read_stream(stream, after=after, until=until):
            yield row.version, row.type, row.schema, row.payload

    @abstractmethod
    def read_streams(self, streams: Sequence[str]) -> Iterator[StoredRow]:
        """All events of several streams; those of each stream by version, in bounded memory."""

    @abstractmethod
    def read_by_stream(self) -> Iterator[StoredRow]:
        """All visible events stream by stream, each by version, in bounded memory."""

    @abstractmethod
    def read_log(
        self, *, after: int, until: int, limit: int | None, filter: LogFilter = NO_FILTER
    ) -> Iterator[StoredRow]:
        """Events with after < position <= until in position order, in bounded memory."""

    def read_pages(
        self, *, after: int, until: int, filter: LogFilter = NO_FILTER
    ) -> Generator[Sequence[RawRow], None, None]:
        """What read_log() gives, page by page, for who reads a whole history.

        Outside of a transaction a driver may read the next page meanwhile, on another connection: `until`
        is settled. Close the iterator, or read it to its end.
        """
        rows = self.read_log(after=after, until=until, limit=None, filter=filter)
        while page := list(islice(rows, _PAGE_ROWS)):
            yield page

    def count_log(self, *, after: int, until: int, filter: LogFilter = NO_FILTER) -> int:
        """How many events `read_log` would give; drivers make it quicker."""
        return sum(1 for _ in self.read_log(after=after, until=until, limit=None, filter=filter))

    @abstractmethod
    def stream_version(self, stream: str) -> int:
        """Version of the stream's last event, 0 when there is none."""

    def stream_versions(self, streams: Sequence[str]) -> dict[str, int]:
        """See stream_version(), of each of several streams; drivers ask once for all."""
        return {stream: self.stream_version(stream) for stream in streams}

    @abstractmethod
    def settled_head(self) -> int:
        """The highest position below which nothing can appear any more, found without waiting long."""

    @abstractmethod
    def tail(self, *, after: int) -> LogTail:
        """A tail that starts behind `after`, for a worker that stays on one connection."""

    @abstractmethod
    def hold_appends(self) -> None:
        """Let nobody else append until the caller's transaction ends; waits for open appenders."""
