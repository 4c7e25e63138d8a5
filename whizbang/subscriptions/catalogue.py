"""The catalogue of streams, filled from the log and off the write path."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from whizbang.drivers.rows import rows_of
from whizbang.drivers.stores.base import StoredRow
from whizbang.models import EventType, Stream
from whizbang.projections.declaration import BEGINNING
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.definition import SubscriptionDefinition


class CatalogueSubscription(SubscriptionDefinition):
    """Keeps one row a stream: version, last event and times. It needs no payload."""

    name = "whizbang.streams"
    kind = "catalogue"
    is_told_by_batch = False  # its work is no part of anybody's trace
    backfill_from = BEGINNING

    def __init__(self, store: EventStore) -> None:
        super().__init__(store)
        self._seen_types: set[str] = set()
        if store.alias != "default":
            self.name = f"whizbang.streams@{store.alias}"

    def deliver(self, rows: Sequence[StoredRow]) -> None:
        first: dict[str, StoredRow] = {}
        last: dict[str, StoredRow] = {}
        for row in rows:
            first.setdefault(row.stream, row)
            last[row.stream] = row
        table = rows_of(Stream, Stream._meta.get_field("name"), self.using)
        # A stream that begins in this batch is new, unless the batch is applied a second time.
        table.insert_new(
            [_entry(first[n], row) for n, row in last.items() if first[n].version == 1]
        )
        self._note_types(rows)
        known = [(n, *_progress(row)) for n, row in last.items() if first[n].version > 1]
        if known:
            table.set_columns(_PROGRESS, known)

    def _note_types(self, rows: Sequence[StoredRow]) -> None:
        fresh: dict[str, StoredRow] = {}
        for row in rows:
            if row.type not in self._seen_types:
                fresh.setdefault(row.type, row)
        if fresh:
            EventType.objects.using(self.using).bulk_create(
                [EventType(name=name, first_position=row.position) for name, row in fresh.items()],
                ignore_conflicts=True,
            )
            # Only what an earlier transaction has stored may be skipped.
            transaction.on_commit(lambda: self._seen_types.update(fresh), using=self.using)


_PROGRESS = ("version", "last_position", "last_type", "last_recorded_at")


def _progress(row: StoredRow) -> tuple[object, ...]:
    return row.version, row.position, row.type, row.recorded_at


def _entry(first: StoredRow, last: StoredRow) -> Stream:
    category, _, aggregate_id = last.stream.partition("-")
    return Stream(
        name=last.stream,
        category=category,
        aggregate_id=aggregate_id,
        first_recorded_at=first.recorded_at,
        **dict(zip(_PROGRESS, _progress(last), strict=True)),
    )
