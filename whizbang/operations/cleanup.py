"""Removing what is done with, in bounded steps."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.db.models import Exists, Model, OuterRef
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.models import DeadLetter, InboxMessage, OperatorAction, OutboxMessage, Redrive
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.leases import LeaseHolder

_STEP_ROWS = 1000
_PAUSE_SECONDS = 60.0
_STEP_PAUSE_SECONDS = 0.5
_LEASE = "whizbang.cleanup"


def cleanup() -> dict[str, int]:
    """Delete what is done with, a step after the other; gives counts.

    Inbox rows that were handled, expired or discarded and sent outbox rows go after KEEP_HANDLED_DAYS:
    for that long a message id is known, the same message sent later is handled again. What operators
    did, and redrives that have ended, go after KEEP_AUDIT_DAYS. Workers do this by themselves.
    """
    using = event_store().using
    counts: dict[str, int] = {}
    for rows, model in _old_rows(using):
        total = 0
        while deleted := _delete_step(rows, model, using):
            total += deleted
        table = model._meta.db_table.removeprefix("whizbang_")
        counts[table] = counts.get(table, 0) + total
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
    inbox = InboxMessage.objects.using(using).filter(finished_at__lt=oldest)
    handled = inbox.filter(status__in=(InboxMessage.Status.HANDLED, InboxMessage.Status.EXPIRED))
    # A dead letter needs its row to be redriven.
    letters = DeadLetter.objects.using(using).filter(message_id=OuterRef("message_id"))
    discarded = inbox.filter(~Exists(letters), status=InboxMessage.Status.FAILED)
    outbox = OutboxMessage.objects.using(using).filter(published_at__lt=oldest)
    return [
        (handled, InboxMessage),
        (discarded, InboxMessage),
        (outbox, OutboxMessage),
        *_old_audit(using),
    ]


def _old_audit(using: str) -> list[tuple[Any, type[Model]]]:
    oldest = Now() - timedelta(days=settings.KEEP_AUDIT_DAYS)
    actions = OperatorAction.objects.using(using).filter(at__lt=oldest)
    redrives = Redrive.objects.using(using).filter(finished_at__lt=oldest)
    return [(actions, OperatorAction), (redrives, Redrive)]


def _delete_step(rows: Any, model: type[Model], using: str) -> int:
    """Delete one bounded step; gives how many rows."""
    pks = list(rows.values_list("pk", flat=True)[:_STEP_ROWS])
    return model._base_manager.using(using).filter(pk__in=pks).delete()[0] if pks else 0
