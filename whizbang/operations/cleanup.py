"""Removing what is done with, in bounded steps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Model
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.models import InboxMessage, OutboxMessage
from whizbang.store.event_store import event_store

_STEP_ROWS = 1000


def cleanup() -> dict[str, int]:
    """Delete handled inbox rows and sent outbox rows older than KEEP_HANDLED_DAYS; gives counts.

    A message id is known for that long: the same message sent later is handled again.
    """
    using = event_store().using
    oldest = Now() - timedelta(days=settings.KEEP_HANDLED_DAYS)
    inbox = InboxMessage.objects.using(using).filter(
        status__in=(InboxMessage.Status.HANDLED, InboxMessage.Status.EXPIRED),
        finished_at__lt=oldest,
    )
    outbox = OutboxMessage.objects.using(using).filter(published_at__lt=oldest)
    return {
        "inbox": _delete(inbox, InboxMessage, using),
        "outbox": _delete(outbox, OutboxMessage, using),
    }


def _delete(rows: Any, model: type[Model], using: str) -> int:
    total = 0
    while pks := list(rows.values_list("pk", flat=True)[:_STEP_ROWS]):
        total += model._default_manager.using(using).filter(pk__in=pks).delete()[0]
    return total
