"""Appending very many events, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from django.db import transaction

from whizbang.domain.races import try_again
from whizbang.domain.unit_of_work import (
    PendingEvent,
    PlacedEvent,
    UnitOfWork,
    is_watched,
)
from whizbang.drivers.stores.base import ImportRow
from whizbang.messages.envelope import envelope
from whizbang.store.event_store import EventStore, ImportedEvent
from whizbang.store.slices import slice_of

CHUNK_EVENTS = 2000
CHUNK_BYTES = 4 * 1024 * 1024  # of payloads: what a chunk holds in memory
_MOST_ATTEMPTS = 20
_BIG_IMPORT = 10_000  # events

Chunk = list[tuple[int | None, PendingEvent]]  # given version and event


def import_directly(
    store: EventStore,
    events: Iterable[ImportedEvent | tuple[object, ...]],
    *,
    on_stored: Callable[[int], None] | None,
) -> int:
    """Append events in their order, a transaction a chunk; gives their number."""
    stored = 0
    for chunk in _chunks(store, events):
        try_again(partial(_store, store, chunk), using=store.using, attempts=_MOST_ATTEMPTS)
        stored += len(chunk)
        if on_stored is not None:
            on_stored(stored)
    if stored >= _BIG_IMPORT:
        store.driver.refresh_statistics()
    return stored


def _chunks(
    store: EventStore, events: Iterable[ImportedEvent | tuple[object, ...]]
) -> Iterator[Chunk]:
    unit, versions, size = UnitOfWork(store.alias), list[int | None](), 0
    for item in events:
        imported = item if isinstance(item, ImportedEvent) else ImportedEvent(*item)  # type: ignore[arg-type]
        versions.append(imported.version)
        unit.add(
            imported.stream,
            envelope(
                imported.event,
                message_id=imported.message_id,
                occurred_at=imported.occurred_at,
                user=imported.user,
            ),
        )
        size += len(unit.pending[-1].payload)
        if len(versions) >= CHUNK_EVENTS or size >= CHUNK_BYTES:
            yield list(zip(versions, unit.pending, strict=True))
            unit, versions, size = UnitOfWork(store.alias), [], 0
    if versions:
        yield list(zip(versions, unit.pending, strict=True))


def _store(store: EventStore, chunk: Chunk) -> None:
    from whizbang.messaging.queue import store_messages

    unit = UnitOfWork(store.alias)
    rows = [
        ImportRow(entry.stream, version, unit.row_of(entry, slice_of(entry.stream)))
        for version, entry in chunk
    ]
    entries = [entry for _, entry in chunk]
    watched = is_watched(entry.event for entry in entries)
    with transaction.atomic(using=store.using, savepoint=False):
        places = store.driver.import_rows(rows, tell_places=watched)
        if watched:
            unit.commit(
                [
                    PlacedEvent(entry.event, entry.envelope, entry.stream, place)
                    for entry, place in zip(entries, places, strict=True)
                ]
            )
            store_messages(unit.messages, using=store.using)
