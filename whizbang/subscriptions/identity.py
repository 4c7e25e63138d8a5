"""Which store a log is: its positions mean nothing in another one."""

from __future__ import annotations

from whizbang.models import StoreHead
from whizbang.store.event_store import EventStore


def store_identity(store: EventStore) -> StoreHead:
    """The row that says which store this is; made on first use."""
    row, _ = StoreHead.objects.using(store.using).get_or_create(id=1)
    return row
