"""Which log a cache was folded from: another store, or rewritten history, is another log."""

from __future__ import annotations

import uuid
from typing import NamedTuple

from django.db.models import Max

from whizbang.models import HistoryChange, StoreHead
from whizbang.store.event_store import EventStore

_NO_END = 2**63 - 1


class LogIdentity(NamedTuple):
    """A store, and the last declared change of its history."""

    store_id: uuid.UUID
    history_change: int


def read_identity(store: EventStore) -> LogIdentity:
    """Read it before what is folded. Writes nothing: a store that has no identity yet has all zeros."""
    heads = StoreHead.objects.using(store.using).filter(id=1)
    changes = HistoryChange.objects.using(store.using).aggregate(last=Max("id"))
    store_id = heads.values_list("store_id", flat=True).first()
    return LogIdentity(store_id or uuid.UUID(int=0), changes["last"] or 0)


def has_come_to(store: EventStore, position: int) -> bool:
    """Does the log reach up to a position? An older backup that was restored does not."""
    if position == 0:
        return True
    rows = store.driver.read_log(after=position - 1, until=_NO_END, limit=1)
    return next(iter(rows), None) is not None
