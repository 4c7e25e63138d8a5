"""The index of events by what their metadata say, filled from the log and off the write path."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from whizbang.drivers.rows import rows_of
from whizbang.drivers.stores.base import StoredRow
from whizbang.models import EventEntry
from whizbang.projections.declaration import BEGINNING
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.definition import SubscriptionDefinition

logger = logging.getLogger(__name__)
MOST_USER = 150  # characters that its column holds
_MANY = 20  # events; fewer are as quick row by row, and one bad event is met alone in the end


class Indexed(msgspec.Struct, frozen=True, gc=False):
    """What of an event's metadata the index has; the rest is not looked at."""

    message_id: UUID
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    user: str | None = None


class _Entry(NamedTuple):
    position: int
    message_id: UUID
    correlation_id: UUID | None
    causation_id: UUID | None
    type: str
    user: str


class EventIndexSubscription(SubscriptionDefinition):
    """Keeps one row an event. It needs no payload, and no class of the event."""

    name = "whizbang.events"
    kind = "catalogue"
    is_told_by_batch = False  # its work is no part of anybody's trace
    backfill_from = BEGINNING

    def __init__(self, store: EventStore) -> None:
        super().__init__(store)
        self._decode_indexed = store.serializer.decoder(Indexed)
        if store.alias != "default":
            self.name = f"whizbang.events@{store.alias}"

    def deliver(self, rows: Sequence[StoredRow]) -> None:
        """An event whose metadata cannot be read has no entry: `verify integrity` names it.

        Entries that are there already stay: a retry may be given what a range had in it.
        """
        if len(rows) >= _MANY and self._is_driver_doing(rows):
            return
        entries = list(self._entries(rows))
        if len(entries) < len(rows):
            logger.warning(
                "Events without readable metadata are not indexed count=%s after=%s",
                len(rows) - len(entries),
                rows[0].position - 1,
            )
        if entries:
            rows_of(EventEntry, EventEntry._meta.pk, self.using).insert_new(entries)

    def _is_driver_doing(self, rows: Sequence[StoredRow]) -> bool:
        """Where it meets bad metadata it raises: the engine then comes with smaller batches, and with single events."""
        driver = self.store.driver
        return driver.index_events(first=rows[0].position, last=rows[-1].position)

    def _entries(self, rows: Sequence[StoredRow]) -> Iterator[_Entry]:
        decode = self._decode_indexed
        for row in rows:
            try:
                said: Indexed = decode(row.metadata)
            except msgspec.MsgspecError:
                continue
            yield _Entry(
                row.position,
                said.message_id,
                said.correlation_id,
                said.causation_id,
                row.type,
                (said.user or "")[:MOST_USER],
            )
