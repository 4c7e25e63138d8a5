"""Reading and appending typed events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from django.db import connections
from django.utils.module_loading import import_string

from whizbang.conf import settings
from whizbang.drivers.stores.base import (
    ANY,
    EventStoreDriver,
    Expected,
    LogFilter,
    RawRow,
    StateRow,
    StoredRow,
)
from whizbang.exceptions import WhizbangError
from whizbang.messages.base import Event, Message
from whizbang.messages.becoming import gone
from whizbang.messages.metadata import Metadata, WireMetadata
from whizbang.messages.types import names_read_as, type_named
from whizbang.store import snapshots
from whizbang.store.async_reading import as_async_iterator
from whizbang.store.codec import JSON, MSGPACK, codec, plain_type, read_events

if TYPE_CHECKING:
    from whizbang.domain.aggregate import Aggregate

A = TypeVar("A", bound="Aggregate")

_BACKENDS = {
    "sqlite": "whizbang.drivers.stores.sqlite.SqliteStore",
    "postgresql": "whizbang.drivers.stores.postgres.PostgresStore",
    "mysql": "whizbang.drivers.stores.mysql.MysqlStore",
    "microsoft": "whizbang.drivers.stores.sqlserver.SqlServerStore",
}


class Recorded(NamedTuple):
    """An event of the log with its metadata; the event is typed and upcast."""

    event: Any
    meta: Metadata


class StreamAppend(NamedTuple):
    """New events for one stream, for `append_many`."""

    stream: str
    events: Sequence[Event]
    expected: Expected = ANY


class ImportedEvent(NamedTuple):
    """An event for `import_events`; without a version it follows what its stream has."""

    stream: str
    event: Event
    version: int | None = None
    occurred_at: datetime | None = None
    user: Any = None
    message_id: Any = None


class EventStore:
    """The log of one store: streams with versions inside one global order."""

    def __init__(self, alias: str, driver: EventStoreDriver) -> None:
        self.alias = alias
        self.driver = driver
        self.serializer = JSON if driver.supports_json else MSGPACK
        self._decode_metadata = self.serializer.decoder(WireMetadata)

    @property
    def using(self) -> str:
        """Alias of the database that holds the log."""
        return self.driver.using

    def append(
        self,
        stream: str,
        events: Sequence[Event],
        *,
        expected: Expected = ANY,
        occurred_at: datetime | None = None,
        user: Any = None,
    ) -> int:
        """Append events to one stream and return its new version (the first event has version 1).

        Runs in the caller's transaction; all events are stored or none, with their inline
        projections. No events is a no-op. `occurred_at` and `user` go into their metadata.
        Raises `ConcurrencyError` when the stream is not where `expected` says.
        """
        appends = (StreamAppend(stream, events, expected),)
        return self._append_directly(self, appends, occurred_at, user)[0]

    def append_many(
        self,
        appends: Iterable[StreamAppend],
        *,
        occurred_at: datetime | None = None,
        user: Any = None,
    ) -> list[int]:
        """Append to several streams, all or none; gives the new versions in the same order."""
        return self._append_directly(self, list(appends), occurred_at, user)

    @cached_property
    def _append_directly(self) -> Callable[..., list[int]]:
        """Looked up once: it stands above this module."""
        from whizbang.domain.direct_append import append_directly

        return append_directly

    def import_events(
        self,
        events: Iterable[ImportedEvent | tuple[Any, ...]],
        *,
        on_stored: Callable[[int], None] | None = None,
    ) -> int:
        """Append very many events of any streams in the order given; gives their number.

        Takes `ImportedEvent`s, or tuples that begin like one: (stream, event, version, occurred_at).
        Runs in bounded memory, chunk by chunk, each in a transaction of its own (or all in the
        caller's); `on_stored` is told the number so far after each. An error leaves earlier chunks
        stored. Raises `ConcurrencyError` when a version that is given is not its stream's next.
        """
        from whizbang.domain.bulk_import import import_directly

        return import_directly(self, events, on_stored=on_stored)

    def read_stream(
        self,
        stream: str,
        *,
        after: int = 0,
        until: int | None = None,
        as_of: datetime | None = None,
        backwards: bool = False,
        limit: int | None = None,
    ) -> Iterator[Recorded]:
        """Events of one stream with after < version <= until, recorded at or before `as_of`."""
        rows = self.driver.read_stream(
            stream,
            after=after,
            until=until,
            as_of=as_instant(as_of),
            backwards=backwards,
            limit=limit,
        )
        return self.typed(rows)

    def read_all(
        self,
        *,
        after: int = 0,
        limit: int | None = 1000,
        types: Iterable[type[Event] | str] | None = None,
        categories: Iterable[str] | None = None,
        slices: Iterable[int] | None = None,
        since: datetime | date | None = None,
        before: datetime | date | None = None,
        occurred_since: datetime | date | None = None,
        occurred_before: datetime | date | None = None,
    ) -> Iterator[Recorded]:
        """Settled events of the whole log after a position, in its order; at most `limit`.

        Times are aware datetimes (a date is midnight UTC): since <= recorded_at < before, and the
        same for occurred_at.
        """
        asked = None if types is None else list(types)
        wanted = LogFilter(
            types=None if asked is None else names_of(asked),
            categories=None if categories is None else list(categories),
            slices=None if slices is None else list(slices),
            since=as_instant(since),
            before=as_instant(before),
            occurred_since=as_instant(occurred_since),
            occurred_before=as_instant(occurred_before),
        )
        rows = self.driver.read_log(after=after, until=self.head(), limit=limit, filter=wanted)
        recorded = self.typed(rows)
        return recorded if asked is None else _only(asked, recorded)

    def typed(self, rows: Iterable[RawRow]) -> Iterator[Recorded]:
        """Stored rows as typed events with their metadata, in bounded memory.

        Raises UnknownMessageType or DecodeError.
        """
        # What most events are, without the detour through lists, and with one look-up for a run of one type.
        name, decode, decode_wire = None, None, self._decode_metadata
        for row in rows:
            position, stream, version, type, schema, payload, wire, occurred_at, recorded_at = row
            if type != name:
                name, plain = type, plain_type(type)
                decode = None if plain is None else codec(plain, self.serializer).decode
            if decode is None:
                yield from self.decode(StoredRow._make(row))
                continue
            event = decode(payload, schema, (stream, version, position))
            metadata: WireMetadata = decode_wire(wire)
            meta = metadata.to_metadata(
                type=type,
                occurred_at=occurred_at,
                stream=stream,
                version=version,
                position=position,
                recorded_at=recorded_at,
            )
            yield Recorded(event, meta)

    aread_stream = as_async_iterator(read_stream)
    aread_all = as_async_iterator(read_all)

    def head(self) -> int:
        """The position up to which the log is settled: nothing can appear there any more."""
        return self.driver.settled_head()

    def load(
        self,
        aggregate_type: type[A],
        id: str,
        *,
        until: int | None = None,
        as_of: datetime | None = None,
        occurred_until: datetime | None = None,
    ) -> A:
        """An aggregate from its events; blank when there are none."""
        loaded = aggregate_type(id)
        stream = loaded.stream
        if until == 0:
            return loaded
        if as_of is None and occurred_until is None:
            found = snapshots.find_snapshot(self, aggregate_type, stream)
            if found is None or not self._resume(loaded, found, until):
                self._fold(loaded, stream, self.driver.read_state(stream, until=until))
            return loaded
        for row in self.driver.read_stream(
            stream, until=until, as_of=as_of, occurred_until=occurred_until
        ):
            for event in self.decode_events(row):
                loaded._apply(event)
            loaded.version = row.version
        return loaded

    def _resume(self, aggregate: Any, found: snapshots.Found, until: int | None = None) -> bool:
        """Fold what follows a snapshot; False, and nothing done, where it cannot be used."""
        rows = snapshots.restore(self, aggregate, found, until=until)
        if rows is None:
            return False
        self._fold(aggregate, aggregate.stream, rows)
        return True

    def _fold(self, aggregate: Any, stream: str, rows: Iterable[StateRow]) -> None:
        appliers, serializer = aggregate._appliers, self.serializer
        version = aggregate.version
        for version, type_name, schema, payload in rows:
            plain = plain_type(type_name)
            if plain is None:
                for event in read_events(type_name, schema, payload, serializer, (stream, version)):
                    aggregate._apply(event)
                continue
            event = codec(plain, serializer).decode(payload, schema, (stream, version))
            applier = appliers.get(plain)
            if applier is not None:
                applier(aggregate, event)
        aggregate.version = version

    def load_many(self, aggregate_type: type[A], ids: Mapping[str, str]) -> dict[str, A]:
        """Aggregates by stream, from one read; `ids` gives the id of each stream."""
        loaded = {stream: aggregate_type(id) for stream, id in ids.items()}
        found = snapshots.find_snapshots(self, aggregate_type, ids)
        resumed = {stream for stream, item in found.items() if self._resume(loaded[stream], item)}
        for row in self.driver.read_streams([stream for stream in ids if stream not in resumed]):
            aggregate = loaded[row.stream]
            for event in self.decode_events(row):
                aggregate._apply(event)
            aggregate.version = row.version
        return loaded

    def decode(self, row: StoredRow) -> Sequence[Recorded]:
        """A stored row as typed events with its metadata: one, unless it was split or retired.

        Raises UnknownMessageType or DecodeError.
        """
        events = self.decode_events(row)
        if not events:
            return ()
        meta = self.decode_metadata(row)
        return [Recorded(event, meta) for event in events]

    def decode_events(self, row: StoredRow) -> Sequence[Any]:
        """See decode(); without the metadata."""
        where = (row.stream, row.version, row.position)
        return read_events(row.type, row.schema, row.payload, self.serializer, where)

    def decode_metadata(self, row: StoredRow) -> Metadata:
        position, stream, version, type, _, _, metadata, occurred_at, recorded_at = row
        wire: WireMetadata = self._decode_metadata(metadata)
        return wire.to_metadata(
            type=type,
            occurred_at=occurred_at,
            stream=stream,
            version=version,
            position=position,
            recorded_at=recorded_at,
        )


class History:
    """An aggregate's past."""

    def __init__(self, aggregate_type: type[A], id: str, *, using: str | None = None) -> None:
        self._type: type[Any] = aggregate_type
        self._id = id
        self._store = event_store(using)

    def as_of(
        self,
        *,
        version: int | None = None,
        recorded: datetime | None = None,
        occurred: datetime | None = None,
    ) -> Any:
        """The aggregate as it was at a version, or at an instant (recorded or business time)."""
        if sum(value is not None for value in (version, recorded, occurred)) != 1:
            raise TypeError("as_of() takes one of version=, recorded= or occurred=.")
        return self._store.load(
            self._type,
            self._id,
            until=version,
            as_of=as_instant(recorded),
            occurred_until=as_instant(occurred),
        )


def history(aggregate_type: type[A], id: str, *, using: str | None = None) -> History:
    """The past of one aggregate: `history(Order, "17").as_of(version=3)`."""
    return History(aggregate_type, id, using=using)


def as_instant(value: datetime | date | None) -> datetime | None:
    """An aware datetime; a date is midnight UTC. Raises ValueError for a naive datetime."""
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone: pass an aware datetime.")
        return value
    return datetime.combine(value, time.min, tzinfo=UTC)


def names_of(types: Iterable[type[Event] | str]) -> list[str]:
    """Stored names of event types, old ones included. Raises `UnknownMessageType`."""
    names: list[str] = []
    for item in types:
        if isinstance(item, str) and item in gone:
            names.append(item)
        else:
            names.extend(names_read_as(type_named(item) if isinstance(item, str) else item))
    return names


def _only(asked: Iterable[type[Event] | str], recorded: Iterator[Recorded]) -> Iterator[Recorded]:
    """Without the parts of split events that nobody asked for."""
    names = {item for item in asked if isinstance(item, str)}
    classes = {
        type_named(item) if isinstance(item, str) else item for item in asked if item not in gone
    }
    return (r for r in recorded if type(r.event) in classes or r.meta.type in names)


def stored_names(types: Iterable[type[Message]]) -> frozenset[str]:
    """All names under which these types may stand in the log."""
    return frozenset(name for cls in types for name in names_read_as(cls))


_stores: dict[str, EventStore] = {}


def event_store(alias: str | None = None) -> EventStore:
    """The event store that `WHIZBANG["STORES"]` names; "default" unless an alias is given."""
    name = alias or "default"
    found = _stores.get(name)
    if found is None:
        found = _stores[name] = _make_store(name)
    return found


def _make_store(alias: str) -> EventStore:
    configured = settings.get().STORES.get(alias)
    if configured is None:
        raise WhizbangError(
            f"No store {alias!r} in WHIZBANG['STORES']: it has {sorted(settings.STORES)}."
        )
    using = configured.get("USING", "default")
    vendor = connections[using].vendor
    backend = configured.get("BACKEND") or _BACKENDS.get(vendor)
    if backend is None:
        raise WhizbangError(
            f"No event store driver for the database {using!r} ({vendor}): supported are "
            f"{', '.join(_BACKENDS)}; name your own in STORES[{alias!r}]['BACKEND']."
        )
    driver = import_string(backend)(using=using, options=configured.get("OPTIONS"))
    return EventStore(alias, driver)


settings.on_change(_stores.clear)
