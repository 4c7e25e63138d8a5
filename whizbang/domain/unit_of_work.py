"""All that one unit of work will write: one object per stream, one append at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import msgspec

from whizbang.domain.aggregate import Aggregate
from whizbang.domain.ownership import check_owned
from whizbang.domain.tracing import carry, subject_of_envelope, telling_append
from whizbang.drivers.stores.base import ANY, Expected, NewRow, Placed, RowsOfStream
from whizbang.drivers.telemetry import telemetry
from whizbang.exceptions import WhizbangError
from whizbang.messages.base import Command, Event
from whizbang.messages.envelope import Envelope
from whizbang.messages.metadata import WireMetadata
from whizbang.messages.validation import validator
from whizbang.messaging.nudge import nudge_after_commit
from whizbang.routing.destination import mode_of
from whizbang.routing.preparing import prepare, set_times
from whizbang.store.event_store import EventStore, Recorded, event_store
from whizbang.store.slices import checked_slice_of
from whizbang.store.snapshots import is_due, take_after_commit

A = TypeVar("A", bound=Aggregate)


class PendingEvent(NamedTuple):
    """An event that waits for the append."""

    stream: str
    event: Event
    payload: bytes  # in the store's format
    envelope: Envelope  # the event's own
    aggregate: Aggregate | None


class PlacedEvent(NamedTuple):
    """An event that was appended, and where."""

    event: Event
    envelope: Envelope
    stream: str
    place: Placed

    def recorded(self) -> Recorded:
        """As a reader of the log will see it."""
        meta = msgspec.structs.replace(
            self.envelope.metadata,
            stream=self.stream,
            version=self.place.version,
            position=self.place.position,
            recorded_at=self.place.recorded_at,
        )
        return Recorded(self.event, meta)


class Mark(NamedTuple):
    """How much a unit of work held at some moment, to go back to."""

    events: int
    messages: int
    streams: frozenset[str]


# Called with the events of one append that they want, inside the transaction.
Reaction = Callable[["UnitOfWork", Sequence[Recorded]], None]
Wants = Callable[[type[Event]], bool]
reactions: list[tuple[Wants, Reaction]] = []  # may record more: run until nothing new is recorded
finishers: list[tuple[Wants, Reaction]] = []  # run once, last, just before the commit


def is_watched(types: Iterable[type[Event]]) -> bool:
    """Does anything inline want one of these events, so that it has to run in their transaction?"""
    return any(wants(cls) for cls in types for wants, _ in (*reactions, *finishers))


class UnitOfWork:
    """Aggregates in use (an identity map), events to append and messages to send."""

    def __init__(self, using: str | None) -> None:
        self.store: EventStore = event_store(using)
        self.cause: Envelope | None = None  # the message that is being handled right now
        self.aggregates: dict[str, Aggregate] = {}
        self.expected: dict[str, Expected] = {}  # of streams that are written without an aggregate
        self.pending: list[PendingEvent] = []
        self.messages: list[Envelope] = []
        self._ahead: dict[str, Aggregate] = {}  # read before they were asked for
        self.completed: list[tuple[Any, Any, Any]] = []  # (inbox row, type, result) of a batch
        self.placed: Sequence[PlacedEvent] = ()  # what the commit has appended

    def load(self, aggregate_type: type[A], id: str) -> A:
        if not id:
            raise ValueError(f"{aggregate_type.__name__} was loaded with an empty id.")
        stream = aggregate_type.stream_of(id)
        known = self.aggregates.get(stream)
        if known is None:
            known = self._ahead.pop(stream, None) or self.store.load(aggregate_type, id)
            known._on_record = self._record_of
            self.aggregates[stream] = known
        elif type(known) is not aggregate_type:
            raise WhizbangError(
                f"Stream {stream!r} is loaded as {type(known).__name__} already: "
                f"one stream belongs to one aggregate class, not to {aggregate_type.__name__} too."
            )
        return known  # type: ignore[return-value]

    def read_ahead(self, aggregate_type: type[Aggregate], ids: Iterable[str]) -> None:
        """Read aggregates with one statement, for loads that will probably follow."""
        wanted = {aggregate_type.stream_of(id): id for id in ids}
        missing = {s: id for s, id in wanted.items() if s not in self.aggregates}
        if missing:
            self._ahead.update(self.store.load_many(aggregate_type, missing))

    def record(self, stream: str, event: Event) -> None:
        """Keep an event for the append, caused by the message that is being handled."""
        self.add(stream, Envelope(event, parent=self.cause.metadata if self.cause else None))

    def add(self, stream: str, envelope: Envelope) -> None:
        """Keep an event with metadata of its own."""
        check_owned(type(envelope.message))
        envelope.message, payload = validator(type(envelope.message)).validate(envelope.message)
        self._keep(stream, envelope, payload, None)

    def _record_of(self, aggregate: Aggregate, event: Event, payload: bytes) -> None:
        check_owned(type(event))
        parent = self.cause.metadata if self.cause else None
        self._keep(aggregate.stream, Envelope(event, parent=parent), payload, aggregate)

    def _keep(
        self, stream: str, envelope: Envelope, payload: bytes, aggregate: Aggregate | None
    ) -> None:
        # Encoded now: whoever holds a list of the event may change it until the commit.
        if not self.store.driver.supports_json:
            payload = self.store.serializer.encode(envelope.message)
        self.pending.append(PendingEvent(stream, envelope.message, payload, envelope, aggregate))

    def send(
        self,
        command: Command[Any],
        *,
        delay: timedelta | None,
        at: datetime | None,
        ordering_key: str | None,
    ) -> None:
        from whizbang.routing import verbs

        if mode_of(type(command), default="durable") == "inline" and not (delay or at):
            verbs.run_inline(self._prepared(command, None, None, ordering_key))
        else:
            self.queue(command, delay=delay, at=at, ordering_key=ordering_key)

    def queue(
        self,
        command: Command[Any],
        *,
        delay: timedelta | None = None,
        at: datetime | None = None,
        ordering_key: str | None = None,
    ) -> Envelope:
        """Keep a command for a queue, whatever MODES says; gives it as it will be stored."""
        from whizbang.routing import verbs

        sent = verbs.check(self._prepared(command, delay, at, ordering_key))
        self.messages.append(sent)
        return sent

    def _prepared(
        self,
        command: Command[Any],
        delay: timedelta | None,
        at: datetime | None,
        ordering_key: str | None,
    ) -> Envelope:
        sent = prepare(command, None, None, None, ordering_key, self.store.alias)
        set_times(sent, delay=delay, at=at, expires=None)
        return sent

    def mark(self) -> Mark:
        return Mark(len(self.pending), len(self.messages), frozenset(self.aggregates))

    def return_to(self, mark: Mark) -> None:
        """Forget what came after the mark; aggregates loaded before are as they were then."""
        dropped = self.pending[mark.events :]
        del self.pending[mark.events :]
        del self.messages[mark.messages :]
        for stream in set(self.aggregates) - mark.streams:
            del self.aggregates[stream]
        for stream in {entry.stream for entry in dropped} & mark.streams:
            self._restore(self.aggregates[stream])

    def _restore(self, aggregate: Aggregate) -> None:
        fresh = self.store.load(type(aggregate), aggregate.id, until=aggregate.version)
        kept = [entry.event for entry in self.pending if entry.aggregate is aggregate]
        callback = aggregate._on_record
        aggregate.__dict__.clear()
        aggregate.__dict__.update(fresh.__dict__)
        aggregate._on_record = callback
        for event in kept:
            aggregate._apply(event)
            aggregate._pending.append(event)

    def commit(self, appended: Sequence[PlacedEvent] = ()) -> list[PlacedEvent]:
        """Append everything with one statement, run inline subscribers, then inline projections.

        Both get `appended` too: events that were appended in this transaction by other means.
        """
        placed = list(appended)
        if placed:
            self._react(placed)
        while self.pending:
            batch = self.flush()
            placed.extend(batch)
            self._react(batch)
        for wants, finish in finishers:
            self._call(wants, finish, placed)
        self.placed = placed
        if placed:
            nudge_after_commit(self.store.using)
        return placed

    def _react(self, batch: Sequence[PlacedEvent]) -> None:
        for wants, react in reactions:
            self._call(wants, react, batch)

    def _call(self, wants: Wants, reaction: Reaction, placed: Sequence[PlacedEvent]) -> None:
        wanted = [item.recorded() for item in placed if wants(type(item.event))]
        if wanted:
            reaction(self, wanted)

    def flush(self) -> list[PlacedEvent]:
        """Append what is pending and give it back with its places, in order of positions."""
        pending, self.pending = self.pending, []
        return self._append_told(pending) if telemetry.is_enabled() else self._append(pending)

    def _append_told(self, pending: Sequence[PendingEvent]) -> list[PlacedEvent]:
        envelopes = [entry.envelope for entry in pending]
        with telling_append(
            self.store,
            (entry.stream for entry in pending),
            count=len(pending),
            subjects=map(subject_of_envelope, envelopes),
        ) as traceparent:
            carry(traceparent, envelopes)
            return self._append(pending)

    def _append(self, pending: Sequence[PendingEvent]) -> list[PlacedEvent]:
        groups: dict[str, list[PendingEvent]] = {}
        for entry in pending:
            groups.setdefault(entry.stream, []).append(entry)
        batch = [self._rows_of(stream, group) for stream, group in groups.items()]
        places = self.store.driver.append(batch)
        placed: list[PlacedEvent] = []
        for group, found in zip(groups.values(), places, strict=True):
            self._settle(self.aggregates.get(group[0].stream), found)
            for entry, place in zip(group, found, strict=True):
                placed.append(PlacedEvent(entry.event, entry.envelope, entry.stream, place))
        if len(groups) > 1:
            placed.sort(key=lambda item: item.place.position)
        return placed

    def _settle(self, aggregate: Aggregate | None, placed: Sequence[Placed]) -> None:
        """The aggregate stands where its events were appended."""
        if aggregate is None:
            return
        aggregate.version = placed[-1].version
        aggregate._pending.clear()
        if is_due(aggregate, len(placed)):
            take_after_commit(self.store, aggregate)

    def _rows_of(self, stream: str, group: list[PendingEvent]) -> RowsOfStream:
        # A loaded aggregate says where its stream must be, also for events recorded without it.
        aggregate = self.aggregates.get(stream)
        expected = self.expected.get(stream, ANY) if aggregate is None else aggregate.version
        slice_number = checked_slice_of(stream)
        rows = [self.row_of(entry, slice_number) for entry in group]
        return RowsOfStream(stream, expected, rows, aggregate is not None)

    def row_of(self, entry: PendingEvent, slice_number: int) -> NewRow:
        """An event as the driver takes it."""
        meta = entry.envelope.metadata
        return NewRow(
            meta.type,
            type(entry.event).__whizbang__.schema,
            slice_number,
            entry.payload,
            self.store.serializer.encode(WireMetadata.of(meta)),
            meta.occurred_at,
        )
