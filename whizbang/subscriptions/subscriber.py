"""Functions that hear events: `@subscribes`."""

from __future__ import annotations

from collections.abc import Sequence

from asgiref.sync import async_to_sync

from whizbang.domain.context import Context, current_context
from whizbang.domain.read_ahead import run_with_read_ahead
from whizbang.domain.unit_of_work import UnitOfWork
from whizbang.drivers.stores.base import StoredRow
from whizbang.messages.envelope import Envelope
from whizbang.messaging.queue import store_messages
from whizbang.projections.declaration import LIVE
from whizbang.routing.registry import Subscriber
from whizbang.store.event_store import EventStore, Recorded, stored_names
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.tracing import carried_by, telling_event


class SubscriberSubscription(SubscriptionDefinition):
    """Calls one subscriber; what it records and sends commits with the checkpoint."""

    kind = "subscriber"
    is_told_by_batch = False  # each event is, since what it causes belongs to its trace

    def __init__(self, store: EventStore, subscriber: Subscriber) -> None:
        super().__init__(store)
        self.subscriber = subscriber
        self.name = subscriber.name
        self.backfill_from = LIVE if subscriber.backfill_from is None else subscriber.backfill_from
        self.partition_by = subscriber.partition_by
        self.event_types = frozenset(subscriber.event_types)
        self.type_names = stored_names(self.event_types)

    def deliver(self, rows: Sequence[StoredRow]) -> None:
        unit = UnitOfWork(self.store.alias)
        events = self.read(rows)
        run_with_read_ahead(
            unit,
            [(recorded.event, recorded) for recorded in events],
            lambda recorded: self._call(recorded, unit),
        )
        unit.commit()
        store_messages(unit.messages, using=self.store.using)

    def _call(self, recorded: Recorded, unit: UnitOfWork) -> None:
        with telling_event(self, recorded) as traceparent:
            heard = Recorded(recorded.event, carried_by(recorded.meta, traceparent))
            call_subscriber(self.subscriber, heard, unit)


def call_subscriber(subscriber: Subscriber, recorded: Recorded, unit: UnitOfWork) -> None:
    """Call a subscriber with one event, inside a unit of work."""
    envelope = Envelope(recorded.event)
    envelope.metadata = recorded.meta
    envelope.using = unit.store.alias
    envelope.unit = unit
    outer, unit.cause = unit.cause, envelope
    token = current_context.set(Context(envelope, subscriber.function.__module__))
    function = async_to_sync(subscriber.function) if subscriber.is_async else subscriber.function
    try:
        function(recorded.event, current_context.get())
    finally:
        current_context.reset(token)
        unit.cause = outer
