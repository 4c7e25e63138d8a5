"""Removing what is done with, in bounded steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, Model, OuterRef
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.models import (
    DeadLetter,
    InboxMessage,
    OperatorAction,
    OutboxMessage,
    Redrive,
    SagaInstance,
)
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.leases import LeaseHolder

_LEAST_ROWS, _MOST_ROWS = 20, 1000
# What a step shall take: writers of SQLite wait for it, and of MariaDB's locks.
_STEP_SECONDS = 0.005
_PAUSE_SECONDS = 60.0
# A worker, which has other work, pauses for so many times what its last steps took.
_REST = 10
_LEASE = "whizbang.cleanup"


def cleanup() -> dict[str, int]:
    """Delete what is done with, a step after the other; gives counts.

    Inbox rows that were handled, expired or discarded and sent outbox rows go after KEEP_HANDLED_DAYS:
    for that long a message id is known, the same message sent later is handled again. What operators
    did, and redrives that have ended, go after KEEP_AUDIT_DAYS, rows of ended sagas after KEEP_SAGAS_DAYS. Workers do this by themselves. Between
    two steps it pauses for as long as the last one took.
    """
    counts: dict[str, int] = {}
    for sweep in sweeps_of(event_store().using):
        name = sweep.model._meta.db_table.removeprefix("whizbang_")
        counts[name] = counts.get(name, 0) + sum(count for count, _ in sweep.run())
    return counts


class Sweep:
    """Deletes the old rows of one table from the oldest on, as many at a time as the database does quickly.

    It goes on where the last step ended: what was deleted stands in PostgreSQL's index until it is
    vacuumed, and each step would walk over all of it again.
    """

    def __init__(self, rows: Any, column: str, *, using: str) -> None:
        self.model: type[Model] = rows.model
        self._rows, self._column, self._using = rows, column, using
        self._size = _LEAST_ROWS
        self._since: datetime | None = None

    def run(self) -> Iterator[tuple[int, float]]:
        """Step by step until nothing is left: how many rows each deleted, and its seconds."""
        while True:
            started = time.perf_counter()
            count = self.step()
            seconds = time.perf_counter() - started
            if not count:
                return
            yield count, seconds
            time.sleep(seconds)

    def step(self) -> int:
        """Delete one bounded step; gives how many rows."""
        started = time.perf_counter()
        rows = self._rows.order_by(self._column)
        if self._since is not None:
            rows = rows.filter(**{f"{self._column}__gte": self._since})
        found = list(rows.values_list("pk", self._column)[: self._size])
        if found:
            pks = [pk for pk, _ in found]
            self.model._base_manager.using(self._using).filter(pk__in=pks).delete()
        # From the start again once nothing is left behind it.
        self._since = found[-1][1] if found else None
        self._adapt(len(found), time.perf_counter() - started)
        return len(found)

    def _adapt(self, count: int, seconds: float) -> None:
        """Let the next step take its time: bigger by half at most, smaller at once."""
        if count < self._size:
            return
        fitting = int(self._size * min(_STEP_SECONDS / seconds, 1.5))
        self._size = max(_LEAST_ROWS, min(fitting, _MOST_ROWS))


class CleanupPart:
    """Does the worker's share of cleaning up: a step now and then, by one worker at a time."""

    def __init__(self, store: EventStore, owner: str) -> None:
        self.store = store
        self._leases = LeaseHolder(owner, using=store.using)
        self._sweeps = sweeps_of(store.using)
        self._next_at = time.monotonic() + _PAUSE_SECONDS

    def run_once(self) -> int:
        """Delete at most one step of each table; gives how many rows."""
        if time.monotonic() < self._next_at or self._leases.epoch_of(_LEASE) is None:
            return 0
        started = time.monotonic()
        count = sum(sweep.step() for sweep in self._sweeps)
        ended = time.monotonic()
        self._next_at = ended + (_REST * (ended - started) if count else _PAUSE_SECONDS)
        return count

    def close(self) -> None:
        self._leases.release_all()


def sweeps_of(using: str) -> list[Sweep]:
    """The tables that are cleaned up, and which of their rows."""
    oldest = Now() - timedelta(days=settings.KEEP_HANDLED_DAYS)
    inbox = InboxMessage.objects.using(using).filter(finished_at__lt=oldest)
    handled = inbox.filter(status__in=(InboxMessage.Status.HANDLED, InboxMessage.Status.EXPIRED))
    # A dead letter needs its row to be redriven.
    letters = DeadLetter.objects.using(using).filter(message_id=OuterRef("message_id"))
    discarded = inbox.filter(~Exists(letters), status=InboxMessage.Status.FAILED)
    outbox = OutboxMessage.objects.using(using).filter(published_at__lt=oldest)
    return [
        Sweep(handled, "finished_at", using=using),
        Sweep(discarded, "finished_at", using=using),
        Sweep(outbox, "published_at", using=using),
        _sweep_of_sagas(using),
        *_sweeps_of_audit(using),
    ]


def _sweep_of_sagas(using: str) -> Sweep:
    """Their streams stay, and say that they have ended."""
    oldest = Now() - timedelta(days=settings.KEEP_SAGAS_DAYS)
    return Sweep(
        SagaInstance.objects.using(using).filter(closed_at__lt=oldest), "closed_at", using=using
    )


def _sweeps_of_audit(using: str) -> list[Sweep]:
    oldest = Now() - timedelta(days=settings.KEEP_AUDIT_DAYS)
    actions = OperatorAction.objects.using(using).filter(at__lt=oldest)
    redrives = Redrive.objects.using(using).filter(finished_at__lt=oldest)
    return [Sweep(actions, "at", using=using), Sweep(redrives, "finished_at", using=using)]
