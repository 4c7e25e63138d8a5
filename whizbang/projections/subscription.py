"""Async projections as readers of the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whizbang.drivers.stores.base import StoredRow
from whizbang.projections.fingerprint import fingerprint_of
from whizbang.store.event_store import EventStore, stored_names
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.partitioning import KeyFilter


class ProjectionSubscription(SubscriptionDefinition):
    """Feeds one projection; its rows commit with the checkpoint."""

    def __init__(self, store: EventStore, projection: Any) -> None:
        super().__init__(store)
        self.projection = projection
        self.kind = "inline" if projection.delivery == "inline" else "projection"
        self.name = projection.name
        self.version = projection.version
        self.fingerprint = fingerprint_of(projection)
        self.backfill_from = projection.backfill_from
        self.partition_by = projection.partition_by
        self.event_types = frozenset(projection.event_types())
        self.type_names = stored_names(self.event_types)

    @property
    def using(self) -> str:
        return self.projection.using or self.store.using

    def deliver(self, rows: Sequence[StoredRow]) -> None:
        self._apply(rows)

    def keys_of(self, row: StoredRow) -> list[Any]:
        found = [key for item in self.read([row]) for key in self.projection.keys_of(*item)]
        return list(dict.fromkeys(found))

    def deliver_keys(self, rows: Sequence[StoredRow], keys: KeyFilter) -> None:
        self._apply(rows, slices=keys)

    def _apply(self, rows: Sequence[StoredRow], **options: Any) -> None:
        events = self.read(rows)
        if events:
            self.projection.apply_batch(events, using=self.using, **options)
