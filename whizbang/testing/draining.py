"""Runs everything that waits, in this thread and on this connection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import F

from whizbang.conf import settings
from whizbang.exceptions import WhizbangError
from whizbang.models import InboxMessage, SagaTimeout
from whizbang.operations.worker import Worker
from whizbang.projections.cached import caches
from whizbang.store.event_store import event_store

_MAX_TURNS = 10_000


@dataclass(frozen=True, slots=True)
class DrainCounts:
    """What a drain did: commands taken, events delivered, messages relayed and received, rebuilds and requests done."""

    commands: int
    events: int
    relayed: int
    rebuilds: int
    received: int = 0
    timeouts: int = 0
    requests: int = 0  # of operators


def drain(*, advance: timedelta | None = None, using: str = "default") -> DrainCounts:
    """Handle, project and relay until nothing is left; works inside a test's transaction.

    Cached projections that were read before are brought up to date too.

    Retries count as due, and rate limits do not count. `advance` moves the clock, so that delayed messages
    and timeouts of sagas become due. Never raises for a failing handler: its message becomes a dead letter, its stream is parked.
    Raises WhizbangError when the work does not end, for messages that cause each other for ever.
    """
    if advance is not None:
        _advance(advance, using)
    worker = Worker(store=using, name="drain")
    try:
        for _ in range(_MAX_TURNS):
            done = worker.run_once(retries_are_due=True)
            caches.refresh(using)
            if not done and worker.is_idle():
                break
        else:
            raise WhizbangError("drain() did not come to an end: do messages cause each other?")
    finally:
        worker.close()
    counts = worker.counts
    return DrainCounts(
        counts["commands"],
        counts["events"],
        counts["relayed"],
        counts["rebuilds"],
        counts["received"],
        counts["timeouts"],
        counts["requests"],
    )


def _advance(delta: timedelta, alias: str) -> None:
    """Move due times into the past instead of the clock into the future."""
    using = event_store(alias).using
    timeouts = SagaTimeout.objects.using(using)
    timeouts.update(due_at=F("due_at") - delta)
    rows = InboxMessage.objects.using(using).filter(
        service=settings.SERVICE, status__in=("stored", "retrying")
    )
    rows.update(available_at=F("available_at") - delta)
    rows.filter(expires_at__isnull=False).update(expires_at=F("expires_at") - delta)
