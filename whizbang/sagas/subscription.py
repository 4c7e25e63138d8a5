"""Sagas as readers of the log: an instance's step commits with the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from whizbang.drivers.stores.base import StoredRow
from whizbang.messages.base import Event
from whizbang.messages.metadata import Metadata
from whizbang.models import SagaInstance
from whizbang.projections.declaration import By
from whizbang.sagas.performing import keys_in
from whizbang.sagas.saga import DEAD_LETTER, Saga
from whizbang.sagas.standing import stream_of
from whizbang.sagas.steps import StepBatch
from whizbang.sagas.unmatched import bury_unmatched
from whizbang.store.event_store import EventStore, Recorded, stored_names
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.parked_keys import OneKey
from whizbang.subscriptions.partitioning import BY_KEY, WHOLE, KeyFilter, name_of_key
from whizbang.subscriptions.tracing import carried_by, telling_event


class Heard(NamedTuple):
    key: str
    reactions: list[tuple[str, By]]
    event: Event
    meta: Metadata


class SagaSubscription(SubscriptionDefinition):
    """Feeds the instances of one saga. What fails parks its instance; the others go on."""

    kind = "saga"
    is_told_by_batch = False  # as of subscribers
    partition_by = BY_KEY

    def __init__(self, store: EventStore, saga: type[Saga]) -> None:
        super().__init__(store)
        self.saga = saga
        self.name = saga.name()
        self.backfill_from = saga.backfill_from
        self.event_types = frozenset(saga.reactions)
        self.type_names = stored_names(self.event_types)

    def keys_of(self, row: StoredRow) -> list[Any]:
        heard = (item for recorded in self.read([row]) for item in self.route(*recorded))
        return list(dict.fromkeys(item.key for item in heard))

    def deliver(self, rows: Sequence[StoredRow]) -> None:
        self.deliver_keys(rows, WHOLE)

    def deliver_keys(self, rows: Sequence[StoredRow], keys: KeyFilter) -> None:
        unmatched = self._react(rows, keys)
        if self.saga.unmatched == DEAD_LETTER:
            for item in unmatched:
                bury_unmatched(self.store, self.name, item.key, item.event, item.meta)

    def offer(self, rows: Sequence[StoredRow], key: str) -> bool:
        """Let one instance hear events outside of their order; False when there is none."""
        return not self._react(rows, OneKey(name_of_key(key), WHOLE))

    def _react(self, rows: Sequence[StoredRow], keys: KeyFilter) -> list[Heard]:
        """Let the instances hear what is theirs; gives what has none."""
        heard = [
            item
            for recorded in self.read(rows)
            for item in self.route(*recorded)
            if keys.takes(item.key, recorded.meta)
        ]
        if not heard:
            return []
        batch = StepBatch(self.store, self.saga)
        batch.load(item.key for item in heard)
        unmatched = [item for item in heard if not self._step(batch, item)]
        batch.write()
        return unmatched

    def _step(self, batch: StepBatch, heard: Heard) -> bool:
        """Let one instance hear one event; False when there is none and none may start."""
        key, reactions, event, meta = heard
        with telling_event(self, Recorded(event, meta)) as traceparent:
            return batch.react(key, reactions, event, carried_by(meta, traceparent))

    def route(self, event: Event, meta: Metadata) -> Iterator[Heard]:
        """Which instances an event is for, and by which methods, in the order in which they are declared."""
        found: dict[str, list[tuple[str, By]]] = {}
        for name, by in self.saga.reactions.get(type(event), ()):
            for key in keys_in(self.saga, by, event, meta):
                found.setdefault(key, []).append((name, by))
        for key, reactions in found.items():
            yield Heard(key, reactions, event, meta)

    def note_parked(self, key: str, error: str) -> None:
        rows = SagaInstance.objects.using(self.using).filter(stream=stream_of(self.saga, key))
        rows.update(error=error)
