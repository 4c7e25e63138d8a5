"""The catalogue of streams, filled from the log and off the write path."""

from __future__ import annotations

from collections.abc import Sequence

from whizbang.drivers.stores.base import StoredRow
from whizbang.models import Stream
from whizbang.projections.declaration import BEGINNING
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.definition import SubscriptionDefinition


class CatalogueSubscription(SubscriptionDefinition):
    """Keeps one row a stream: version, last event and times. It needs no payload."""

    name = "whizbang.streams"
    kind = "catalogue"
    backfill_from = BEGINNING

    def __init__(self, store: EventStore) -> None:
        super().__init__(store)
        if store.alias != "default":
            self.name = f"whizbang.streams@{store.alias}"

    def deliver(self, rows: Sequence[StoredRow]) -> None:
        first: dict[str, StoredRow] = {}
        last: dict[str, StoredRow] = {}
        for row in rows:
            first.setdefault(row.stream, row)
            last[row.stream] = row
        entries = [self._entry(first[name], row) for name, row in sorted(last.items())]
        Stream.objects.using(self.using).bulk_create(
            entries,
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["version", "last_position", "last_type", "last_recorded_at"],
        )

    def _entry(self, first: StoredRow, last: StoredRow) -> Stream:
        return Stream(
            name=last.stream,
            category=last.stream.partition("-")[0],
            version=last.version,
            last_position=last.position,
            last_type=last.type,
            first_recorded_at=first.recorded_at,
            last_recorded_at=last.recorded_at,
        )
