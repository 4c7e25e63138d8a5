"""Does the index of events say what the log says?

An entry of an event that a change of history has deleted stays, and is left out where it is looked up.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Min

from whizbang.drivers.stores.base import StoredRow
from whizbang.messages.metadata import Metadata
from whizbang.models import EventEntry, ParkedStream, Partition
from whizbang.operations.findings import Report
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.event_index import EventIndexSubscription

_KIND = "event index"


class IndexCheck:
    """Entries of the events of one page, and how far the index had read before the check."""

    def __init__(self, store: EventStore, report: Report) -> None:
        self._using, self._report = store.using, report
        name = EventIndexSubscription(store).name
        rows = Partition.objects.using(self._using).filter(subscription=name)
        self._position = rows.aggregate(least=Min("position"))["least"] or 0
        parked = ParkedStream.objects.using(self._using).filter(subscription=name)
        self._parked = set(parked.values_list("stream", flat=True))
        self._entries: dict[int, tuple[UUID, str]] = {}

    def look_up(self, page: Iterable[StoredRow]) -> None:
        positions = [row.position for row in page if row.position <= self._position]
        rows = EventEntry.objects.using(self._using).filter(position__in=positions)
        self._entries = {at: (id, type) for at, id, type in rows.values_list(*_COLUMNS)}

    def check(self, row: StoredRow, meta: Metadata) -> None:
        """For an event whose metadata can be read; others have no entry."""
        if row.position > self._position or row.stream in self._parked:
            return
        entry = self._entries.get(row.position)
        if entry is None:
            self._report.add(_KIND, row, "The event has no entry in the index.", by_type=False)
        elif entry != (meta.message_id, row.type):
            text = f"The index has {entry[1]} {entry[0]}, the log {row.type} {meta.message_id}."
            self._report.add(_KIND, row, text, by_type=False)


_COLUMNS = ("position", "message_id", "type")
