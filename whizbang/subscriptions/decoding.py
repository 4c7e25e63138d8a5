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
        self._known: dict[int, tuple[bytes, Sequence[Recorded]]] = {}

    def decode(self, row: StoredRow) -> Sequence[Recorded]:
        """See EventStore.decode(); what does not decode is tried again each time."""
        found = self._known.get(row.position)
        # An edited copy stands at the place of its original, for one subscription.
        if found is None or found[0] != row.payload:
            if len(self._known) >= 4 * settings.get().BATCH_SIZE:
                self._known.clear()
            found = self._known[row.position] = (row.payload, self._store.decode(row))
        return found[1]
