"""Decodes each event once for all subscriptions of a worker."""

from __future__ import annotations

from collections.abc import Sequence

from whizbang.conf import settings
from whizbang.drivers.stores.base import StoredRow
from whizbang.store.event_store import EventStore, Recorded


class SharedDecoder:
    """Remembers the events that were decoded last; they are frozen, so several may hold them."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._known: dict[int, Sequence[Recorded]] = {}

    def decode(self, row: StoredRow) -> Sequence[Recorded]:
        """See EventStore.decode(); what does not decode is tried again each time."""
        found = self._known.get(row.position)
        if found is None:
            if len(self._known) >= 4 * settings.get().BATCH_SIZE:
                self._known.clear()
            found = self._known[row.position] = self._store.decode(row)
        return found
