"""Removing what is done with, in bounded steps."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.db.models import Model
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.models import InboxMessage, OutboxMessage
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.leases import LeaseHolder

_STEP_ROWS = 1000
_PAUSE_SECONDS = 60.0
_STEP_PAUSE_SECONDS = 0.5
_LEASE = "whizbang.cleanup"


def cleanup() -> dict[str, int]:
    """Delete handled inbox rows and sent outbox rows older than KEEP_HANDLED_DAYS; gives counts.

    A message id is known for that long: the same message sent later is handled again. Workers do
    this by themselves.
    """
    using = event_store().using
    counts: dict[str, int] = {}
    for rows, model in _old_rows(using):
        total = 0
        while deleted := _delete_step(rows, model, using):
            total += deleted
        counts[model._meta.db_table.removeprefix("whizbang_")] = total
    return counts


class CleanupPart:
    """Does the worker's share of cleaning up: a step now and then, by one worker at a time."""

    def __init__(self, store: EventStore, owner: str) -> None:
        self.store = store
        self._leases = LeaseHolder(owner, using=store.using)
        self._next_at = time.monotonic() + _PAUSE_SECONDS

    def run_once(self) -> int:
        """Delete at most one step of each table; gives how many rows."""
        if time.monotonic() < self._next_at or self._leases.epoch_of(_LEASE) is None:
            return 0
        counts = [_delete_step(*rows, self.store.using) for rows in _old_rows(self.store.using)]
        is_done = max(counts) < _STEP_ROWS
        self._next_at = time.monotonic() + (_PAUSE_SECONDS if is_done else _STEP_PAUSE_SECONDS)
        return sum(counts)

    def close(self) -> None:
        self._leases.release_all()


def _old_rows(using: str) -> list[tuple[Any, type[Model]]]:
    oldest = Now() - timedelta(days=settings.KEEP_HANDLED_DAYS)
    inbox = InboxMessage.objects.using(using).filter(
        status__in=(InboxMessage.Status.HANDLED, InboxMessage.Status.EXPIRED),
        finished_at__lt=oldest,
    )
    outbox = OutboxMessage.objects.using(using).filter(published_at__lt=oldest)
    return [(inbox, InboxMessage), (outbox, OutboxMessage)]


def _delete_step(rows: Any, model: type[Model], using: str) -> int:
    """Delete one bounded step; gives how many rows."""
    pks = list(rows.values_list("pk", flat=True)[:_STEP_ROWS])
    return model._base_manager.using(using).filter(pk__in=pks).delete()[0] if pks else 0
