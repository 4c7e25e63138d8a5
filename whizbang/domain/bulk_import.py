"""Appending very many events, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db import transaction

from whizbang.domain.event_rows import Checked, EventRows
from whizbang.domain.races import try_again
from whizbang.domain.reacting import react_to
from whizbang.domain.tracing import telling_append
from whizbang.domain.unit_of_work import is_watched
from whizbang.drivers.stores.base import ImportTarget, NewRow, StoredRow
from whizbang.drivers.telemetry import telemetry
from whizbang.messaging.nudge import nudge_after_commit
from whizbang.store.event_store import EventStore, ImportedEvent
from whizbang.store.slices import checked_slice_of

CHUNK_EVENTS = 5000
CHUNK_BYTES = 4 * 1024 * 1024  # of payloads: what a chunk holds in memory
BIG_IMPORT = 50_000  # events, of which the planner has to know
_MOST_ATTEMPTS = 20


class _Chunk:
    """Checked events that are stored together; their rows are made while the database takes them."""

    def __init__(self) -> None:
        self.targets: list[ImportTarget] = []
        self.types: set[type] = set()
        self._checked: list[tuple[Any, ...]] = []  # what a row is made of
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        return len(self._checked) >= CHUNK_EVENTS or self._bytes >= CHUNK_BYTES

    def add(self, item: ImportedEvent, checked: Checked, slice_number: int) -> None:
        stream, event, version, occurred_at, user, message_id = item
        self.targets.append(ImportTarget(stream, version))
        self.types.add(type(event))
        self._checked.append((checked, slice_number, occurred_at, user, message_id))
        self._bytes += len(checked[2])

    def make_rows(self, rows: EventRows) -> Iterator[NewRow]:
        now = datetime.now(UTC)
        for checked, slice_number, occurred_at, user, message_id in self._checked:
            yield rows.make(
                checked,
                slice_number,
                now,
                occurred_at=occurred_at,
                user=user,
                message_id=message_id,
            )


def import_directly(
    store: EventStore,
    events: Iterable[ImportedEvent | tuple[object, ...]],
    *,
    on_stored: Callable[[int], None] | None,
) -> int:
    """Append events in their order, a transaction a chunk; gives their number."""
    stored, rows = 0, EventRows(store)
    for chunk in _chunks(rows, events):
        try_again(partial(_store, store, chunk, rows), using=store.using, attempts=_MOST_ATTEMPTS)
        stored += len(chunk.targets)
        if on_stored is not None:
            on_stored(stored)
    if stored >= BIG_IMPORT:
        store.driver.refresh_statistics()
    return stored


def _chunks(
    rows: EventRows, events: Iterable[ImportedEvent | tuple[object, ...]]
) -> Iterator[_Chunk]:
    chunk, last, slice_number = _Chunk(), None, 0
    for item in events:
        event = item if type(item) is ImportedEvent else ImportedEvent(*item)
        if event.stream != last:
            last, slice_number = event.stream, checked_slice_of(event.stream)
        chunk.add(event, rows.check(event.event), slice_number)
        if chunk.is_full:
            yield chunk
            chunk = _Chunk()
    if chunk.targets:
        yield chunk


def _store(store: EventStore, chunk: _Chunk, rows: EventRows) -> None:
    if not telemetry.is_enabled():
        return _store_silently(store, chunk, rows)
    streams = (target.stream for target in chunk.targets)
    with telling_append(store, streams, count=len(chunk.targets)) as traceparent:
        rows.traceparent = traceparent or rows.traceparent
        return _store_silently(store, chunk, rows)


def _store_silently(store: EventStore, chunk: _Chunk, rows: EventRows) -> None:
    with transaction.atomic(using=store.using, savepoint=False):
        nudge_after_commit(store.using)
        if not is_watched(chunk.types):
            store.driver.import_rows(chunk.targets, chunk.make_rows(rows), tell_places=False)
            return
        made = list(chunk.make_rows(rows))
        places = store.driver.import_rows(chunk.targets, made, tell_places=True)
        found = zip(chunk.targets, made, places, strict=True)
        react_to(store, [StoredRow.of(target.stream, row, place) for target, row, place in found])
