"""Steps of many instances in one transaction: their events, commands, rows and timeouts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from whizbang.domain.context import Context, current_context
from whizbang.domain.unit_of_work import PlacedEvent, UnitOfWork
from whizbang.drivers.clock import database_now
from whizbang.drivers.rows import rows_of
from whizbang.exceptions import ConcurrencyError, WhizbangError
from whizbang.messages.base import Command, Event
from whizbang.messages.envelope import Envelope
from whizbang.messages.metadata import Metadata, WireMetadata
from whizbang.messaging.queue import store_messages
from whizbang.messaging.rows import ensure_payload
from whizbang.models import SagaInstance, SagaTimeout
from whizbang.projections.declaration import By
from whizbang.sagas.messages import (
    NO_STEP,
    SagaCancelled,
    SagaCompleted,
    SagaFailed,
    SagaReacted,
    SagaStarted,
    SagaTimedOut,
    SagaTimeoutHastened,
    SagaTimeoutSkipped,
    SentCommand,
)
from whizbang.sagas.performing import Performed, Performer, command_of, planned_as
from whizbang.sagas.saga import Saga
from whizbang.sagas.standing import Standing, stream_of
from whizbang.sagas.work import Sending
from whizbang.store.event_store import EventStore

# Streams, by alias, that were not where their rows say: until it is written anew the row does not count.
_doubted: set[tuple[str, str]] = set()


class _Instance:
    def __init__(self, standing: Standing, stored_timeouts: Collection[str]) -> None:
        self.standing = standing
        self.awaited = frozenset(standing.timeouts)  # when it was loaded
        self.stored_timeouts = frozenset(stored_timeouts)  # that have a row
        self.set_timeouts: set[str] = set()  # in this batch
        self.is_touched = False
        self._performer: Performer | None = None

    @property
    def performer(self) -> Performer:
        if self._performer is None:
            self._performer = Performer(self.standing)
        return self._performer


class StepBatch:
    """Takes steps in memory, and writes them all at once.

    Two batches that meet at one instance wait for each other at its row, and the append checks the
    stream's version. A row that turns out to be behind its stream is made from it the next time.
    """

    def __init__(self, store: EventStore, saga: type[Saga]) -> None:
        self.saga = saga
        self._store = store
        self._unit = UnitOfWork(store.alias)
        self._instances: dict[str, _Instance] = {}

    def load(self, keys: Iterable[str]) -> None:
        """Read these instances and lock their rows, in order, until the transaction ends."""
        streams = {stream_of(self.saga, key): key for key in keys if key not in self._instances}
        if not streams:
            return
        rows = rows_of(SagaInstance, SagaInstance._meta.pk, self._store.using)
        found = rows.load(sorted(streams), is_locked=True)
        for stream, row in found.items():
            if (self._store.using, stream) not in _doubted:
                standing = Standing.from_row(self.saga, row)  # type: ignore[arg-type]
                self._keep(standing, standing.timeouts)
        self._load_from_streams([key for key in streams.values() if key not in self._instances])

    def _load_from_streams(self, keys: Sequence[str]) -> None:
        """Of those without a row that counts: it was cleaned up, or there is none yet."""
        if not keys:
            return
        streams = [stream_of(self.saga, key) for key in keys]
        versions = self._store.driver.stream_versions(streams)
        waiting = self._names_of_timeouts([stream for stream in streams if versions.get(stream)])
        for stream, key in zip(streams, keys, strict=True):
            self._unit.expected[stream] = 0
            if versions.get(stream):
                standing = standing_from_stream(self._store, self.saga, key)
                self._keep(standing, waiting.get(stream, ()))

    def _names_of_timeouts(self, streams: Sequence[str]) -> dict[str, list[str]]:
        """Of those that have rows, by stream."""
        found: dict[str, list[str]] = {}
        if streams:
            rows = SagaTimeout.objects.using(self._store.using).filter(stream__in=streams)
            for stream, name in rows.values_list("stream", "name"):
                found.setdefault(stream, []).append(name)
        return found

    def _keep(self, standing: Standing, stored_timeouts: Collection[str]) -> None:
        self._unit.expected[standing.stream] = standing.version
        self._instances[standing.key] = _Instance(standing, stored_timeouts)

    def standing_of(self, key: str) -> Standing | None:
        """Where a loaded instance stands; None when there is none."""
        found = self._instances.get(key)
        return found.standing if found is not None else None

    def react(
        self, key: str, reactions: Sequence[tuple[str, By]], event: Event, meta: Metadata
    ) -> bool:
        """Let a loaded instance hear an event, or start it; False when there is none and none may start."""
        envelope = self._envelope_of(event, meta)
        instance = self._instances.get(key)
        if instance is None:
            reactions = [(name, by) for name, by in reactions if self.saga.starts_with(name)]
            if not reactions:
                return False
            instance = self._start(key, reactions, event, envelope)
        elif not instance.standing.is_open:
            return True
        performed = self._perform(instance, [name for name, _ in reactions], [event], envelope)
        reacted = SagaReacted(
            message_id=meta.message_id,
            type=meta.type,
            stream=meta.stream,
            position=meta.position,
            step=NO_STEP,
        )
        self._take(instance, performed, reacted, envelope)
        return True

    def time_out(self, key: str, name: str, due_at: datetime) -> bool:
        """Let a loaded instance handle a timeout; False when it did not wait for it any more."""
        instance = self._instances.get(key)
        if instance is None:
            return False
        if name in instance.set_timeouts:
            return True  # replaced in this batch: it is the new one that it waits for
        if name not in instance.standing.timeouts:
            return name in instance.awaited  # cancelled in this batch, or it has ended
        if name not in self.saga.timeouts:
            raise WhizbangError(
                f"{self.saga.name()} has no method marked @on_timeout({name!r}) any more: bring one back, or leave "
                "the timeout out."
            )
        event = SagaTimedOut(name=name, due_at=due_at, step=NO_STEP)
        envelope = self._envelope_by_origin(instance.standing, event, due_at)
        methods = [self.saga.timeouts[name]]
        performed = self._perform(instance, methods, [], envelope)
        self._take(instance, performed, event, envelope)
        return True

    def skip_timeout(self, key: str, name: str, *, reason: str, operator: str) -> None:
        """Leave a timeout of a loaded instance out for good."""
        instance = self._instances[key]
        event = SagaTimeoutSkipped(name=name, reason=reason, by=operator)
        self._note(instance, event)
        instance.standing.error = ""

    def hasten_timeout(self, key: str, name: str, *, reason: str, operator: str) -> None:
        """Let a timeout that a loaded instance waits for be due now."""
        instance = self._instances[key]
        event = SagaTimeoutHastened(name=name, due_at=self._now(), reason=reason, by=operator)
        instance.set_timeouts.add(name)  # its row is written anew
        self._note(instance, event)

    def cancel(self, key: str, *, reason: str, operator: str, is_compensated: bool) -> list[str]:
        """End a loaded instance; gives the types of the commands that undo its steps, as they are sent."""
        instance = self._instances[key]
        standing = instance.standing
        event = SagaCancelled(reason=reason, by=operator)
        envelope = self._envelope_by_origin(standing, event, self._now())
        commands = self._compensate(standing, envelope) if is_compensated else []
        self._add(instance, msgspec.structs.replace(event, commands=commands), envelope)
        standing.error = ""
        return [command.type for command in commands]

    def write(self) -> None:
        """Write everything in the caller's transaction. Raises ConcurrencyError."""
        unit = self._unit
        touched = [i for i in self._instances.values() if i.is_touched]
        by_stream = {i.standing.stream: i.standing for i in touched}
        for item in self._append(by_stream):
            standing = by_stream.get(item.stream)
            if standing is not None:
                standing.stand_at(item.place.version, item.place.recorded_at)
                if isinstance(item.event, SagaStarted):
                    # As it is stored: the append may have given it a trace.
                    standing.origin = WireMetadata.of(item.envelope.metadata)
        store_messages(unit.messages, using=self._store.using)
        if touched:
            rows = rows_of(SagaInstance, SagaInstance._meta.pk, self._store.using)
            rows.upsert([instance.standing.to_row() for instance in touched])
        self._write_timeouts(touched)
        _doubted.difference_update((self._store.using, stream) for stream in by_stream)

    def _append(self, own: Collection[str]) -> list[PlacedEvent]:
        try:
            return self._unit.commit()
        except ConcurrencyError as exc:
            if exc.stream in own:  # others have no row of ours to doubt, and would be kept for ever
                _doubted.add((self._store.using, exc.stream))
            raise

    def _envelope_of(self, event: Event, meta: Metadata) -> Envelope:
        envelope = Envelope(event)
        envelope.metadata = meta
        return envelope

    def _envelope_by_origin(self, standing: Standing, event: Event, at: datetime) -> Envelope:
        """Of what no message has caused just now: it belongs to the message that began it all."""
        assert standing.origin is not None  # every instance was started by a message
        parent = standing.origin.to_metadata(type="", occurred_at=at)
        return Envelope(event, parent=msgspec.structs.replace(parent, hops=0))

    def _start(
        self, key: str, reactions: Sequence[tuple[str, By]], event: Event, envelope: Envelope
    ) -> _Instance:
        instance = self._instances[key] = _Instance(Standing(self.saga, key), ())
        started = SagaStarted(saga=self.saga.name(), key=key)
        self._add(instance, started, Envelope(started, parent=envelope.metadata))
        instance.performer.fill(reactions, event)
        return instance

    def _perform(
        self, instance: _Instance, methods: list[str], args: list[Any], envelope: Envelope
    ) -> Performed:
        """What is sent by other means inside the methods belongs to this step too."""
        unit = self._unit
        envelope.using, envelope.unit = unit.store.alias, unit
        unit.cause = envelope
        token = current_context.set(Context(envelope, self.saga.__module__))
        try:
            return instance.performer.perform(methods, args, envelope.metadata)
        finally:
            current_context.reset(token)

    def _take(
        self,
        instance: _Instance,
        performed: Performed,
        event: SagaReacted | SagaTimedOut,
        envelope: Envelope,
    ) -> None:
        """Turn what the methods asked for into the step's events, and fold them."""
        work = performed.work
        commands = [self._send(sending, envelope) for sending in work.sent]
        step = performed.to_step(commands, self._now())
        instance.set_timeouts.update(waiting.name for waiting in step.timeouts)
        self._note(instance, msgspec.structs.replace(event, step=step), envelope)
        if work.is_complete:
            self._note(instance, SagaCompleted(), envelope)
        elif work.failure is not None:
            commands = self._compensate(instance.standing, envelope)
            self._note(instance, SagaFailed(reason=work.failure, commands=commands), envelope)

    def _note(self, instance: _Instance, event: Event, cause: Envelope | None = None) -> None:
        if isinstance(event, SagaTimedOut) and cause is not None:
            self._add(instance, event, cause)  # it is what causes the rest
            return
        if cause is None:
            cause = self._envelope_by_origin(instance.standing, event, self._now())
        self._add(instance, event, Envelope(event, parent=cause.metadata))

    def _add(self, instance: _Instance, event: Event, envelope: Envelope) -> None:
        envelope.message = event
        self._unit.add(instance.standing.stream, envelope)
        instance.standing.apply(event, envelope.metadata)
        instance.is_touched = True

    def _compensate(self, standing: Standing, cause: Envelope) -> list[SentCommand]:
        """Send what undoes the steps, the last first, and keep it in that order on its way."""
        return [
            self._send(Sending(command_of(plan), None, None, standing.stream), cause)
            for plan in reversed(standing.compensations)
        ]

    def _send(self, sending: Sending, cause: Envelope) -> SentCommand:
        command: Command[Any] = sending.command
        token = current_context.set(Context(cause, self.saga.__module__))
        try:
            sent = self._unit.queue(
                command, delay=sending.delay, at=sending.at, ordering_key=sending.ordering_key
            )
        finally:
            current_context.reset(token)
        plan = planned_as(type(command), ensure_payload(sent))
        due_at = sent.at or (self._now() + sent.delay if sent.delay else None)
        return SentCommand(
            type=plan.type,
            schema=plan.schema,
            data=plan.data,
            message_id=sent.message_id,
            due_at=due_at,
        )

    def _write_timeouts(self, touched: Sequence[_Instance]) -> None:
        gone: set[tuple[str, str]] = set()
        new: list[SagaTimeout] = []
        for instance in touched:
            standing = instance.standing
            kept = standing.timeouts.keys() - instance.set_timeouts
            gone |= {(standing.stream, name) for name in instance.stored_timeouts - kept}
            new.extend(
                SagaTimeout(
                    stream=standing.stream,
                    saga=self.saga.name(),
                    key=standing.key,
                    name=name,
                    due_at=due_at,
                )
                for name, due_at in standing.timeouts.items()
                if name in instance.set_timeouts or name not in instance.stored_timeouts
            )
        timeouts = SagaTimeout.objects.using(self._store.using)
        if gone:
            there = timeouts.filter(stream__in={stream for stream, _ in gone})
            found = there.values_list("pk", "stream", "name")
            pks = [pk for pk, stream, name in found if (stream, name) in gone]
            timeouts.filter(pk__in=pks).delete()
        if new:
            timeouts.bulk_create(new)

    def _now(self) -> datetime:
        return database_now(self._store.using)


def standing_from_stream(
    store: EventStore, saga: type[Saga], key: str, *, until: int | None = None
) -> Standing:
    """An instance from its events, up to a version; of version 0 when there are none."""
    standing = Standing(saga, key)
    for event, meta in store.read_stream(standing.stream, until=until):
        standing.apply(event, meta)
        assert meta.recorded_at is not None  # of stored events it is known
        standing.stand_at(meta.version, meta.recorded_at)
    return standing
