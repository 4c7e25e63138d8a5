"""Removing what is done with, in bounded steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connections
from django.db.models import Exists, Model, OuterRef, Q
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.models import (
    ActionRequest,
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
# What a step shall take of others: a lock on some rows, or the one that SQLite has.
_STEP_SECONDS, _STEP_SECONDS_OF_ONE_WRITER = 0.005, 0.002
_PAUSE_SECONDS = 60.0
# A worker, which has other work, pauses for so many times what its last steps took, and whoever keeps all other
# writers out for so many times as long as that: those that come then are to be few.
_REST = 10
# A time read from SQLite may be written with more digits than the row's own has, and is then behind it.
_INSTANT = timedelta(milliseconds=1)
_LEASE = "whizbang.cleanup"


def cleanup() -> dict[str, int]:
    """Delete what is done with, a step after the other; gives counts.

    Inbox rows that were handled, expired or discarded and sent outbox rows go after KEEP_HANDLED_DAYS:
    for that long a message id is known, the same message sent later is handled again. What operators
    did, and redrives and requests that have ended, go after KEEP_AUDIT_DAYS, rows of ended sagas after KEEP_SAGAS_DAYS.
    Workers do this by themselves. Between two steps it pauses for as long as the last one took, and on
    SQLite for ten times as long as it kept writers out.
    """
    counts: dict[str, int] = {}
    for sweep in sweeps_of(event_store().using):
        name = sweep.model._meta.db_table.removeprefix("whizbang_")
        counts[name] = counts.get(name, 0) + sum(count for count, _ in sweep.run())
    return counts


class Sweep:
    """Deletes the old rows of one table from the oldest on, as many at a time as the database does quickly.

    It goes on where the last step ended: what was deleted stands in PostgreSQL's index until it is
    vacuumed, and each step would walk over all of it again. A step looks at so many rows and no more: to
    find the few to delete behind millions that stay, or that another step is to delete, takes seconds.
    """

    def __init__(self, old: Any, column: str, *, using: str, done: Q | None = None) -> None:
        """`old`: the rows, by whose `column` there is an index. `done`: which of them go; None: all."""
        self.model: type[Model] = old.model
        self._old, self._column, self._done, self._using = old, column, done, using
        self._has_one_writer = not connections[using].features.has_select_for_update
        self._target_seconds = (
            _STEP_SECONDS_OF_ONE_WRITER if self._has_one_writer else _STEP_SECONDS
        )
        self._size, self._deleting_seconds = _LEAST_ROWS, 0.0
        self._since: datetime | None = None
        self._kept: list[tuple[Any, datetime]] = []  # of the instant that it has come to
        self.is_at_end = False  # did the last step find nothing more to look at?

    def run(self) -> Iterator[tuple[int, float]]:
        """Step by step until the end: how many rows each deleted, and its seconds."""
        while True:
            started = time.perf_counter()
            count = self.step()
            seconds = time.perf_counter() - started
            if self.is_at_end:
                return
            yield count, seconds
            # It waits for its turn as others do: where that takes long, it leaves them more room.
            time.sleep(self._deleting_seconds * _REST if self._has_one_writer else seconds)

    def step(self) -> int:
        """Delete one bounded step; gives how many rows. Behind the end it begins anew."""
        found = self._next()
        started = time.perf_counter()
        doomed = self._doomed([pk for pk, _ in found])
        if doomed:
            self.model._base_manager.using(self._using).filter(pk__in=doomed).delete()
        self._deleting_seconds = time.perf_counter() - started
        self._adapt(len(found), self._deleting_seconds)
        self._pass(found, doomed)
        self.is_at_end = not found
        return len(doomed)

    def _next(self) -> list[tuple[Any, datetime]]:
        rows = self._old.order_by(self._column)
        if self._since is not None:
            rows = rows.filter(**{f"{self._column}__gte": self._since})
            rows = rows.exclude(pk__in=[pk for pk, _ in self._kept])
        return list(rows.values_list("pk", self._column)[: self._size])

    def _doomed(self, pks: list[Any]) -> list[Any]:
        if self._done is None or not pks:
            return pks
        return list(self._old.filter(self._done, pk__in=pks).values_list("pk", flat=True))

    def _pass(self, found: list[tuple[Any, datetime]], doomed: list[Any]) -> None:
        if not found:
            self._since, self._kept = None, []
            return
        since = self._since = found[-1][1] - _INSTANT
        gone = set(doomed)
        kept = [*self._kept, *(row for row in found if row[0] not in gone)]
        self._kept = [row for row in kept if row[1] >= since]

    def _adapt(self, count: int, seconds: float) -> None:
        """Let the next step take its time: bigger by half at most, smaller by half at most.

        One slow step tells little: most of those have waited for others.
        """
        if count < self._size and seconds <= self._target_seconds:
            return
        fitting = int(self._size * min(max(self._target_seconds / seconds, 0.5), 1.5))
        self._size = max(_LEAST_ROWS, min(fitting, _MOST_ROWS))


class CleanupPart:
    """Does the worker's share of cleaning up: a step now and then, by one worker at a time."""

    def __init__(self, store: EventStore, owner: str) -> None:
        self.store = store
        self._leases = LeaseHolder(owner, using=store.using)
        self._sweeps = sweeps_of(store.using)
        self._next_at = time.monotonic() + _PAUSE_SECONDS

    def run_once(self) -> int:
        """Do at most one step of each table that is not done with; gives how many rows were deleted."""
        if time.monotonic() < self._next_at or self._leases.epoch_of(_LEASE) is None:
            return 0
        started = time.monotonic()
        going = [sweep for sweep in self._sweeps if not sweep.is_at_end] or self._sweeps
        count = sum(sweep.step() for sweep in going)
        ended = time.monotonic()
        is_over = all(sweep.is_at_end for sweep in self._sweeps)
        self._next_at = ended + (_PAUSE_SECONDS if is_over else _REST * (ended - started))
        return count

    def close(self) -> None:
        self._leases.release_all()


def sweeps_of(using: str) -> list[Sweep]:
    """The tables that are cleaned up, and which of their rows."""
    oldest = Now() - timedelta(days=settings.KEEP_HANDLED_DAYS)
    inbox = InboxMessage.objects.using(using).filter(finished_at__lt=oldest)
    status = InboxMessage.Status
    # A dead letter needs its row to be redriven.
    letters = DeadLetter.objects.using(using).filter(message_id=OuterRef("message_id"))
    done = Q(status__in=(status.HANDLED, status.EXPIRED)) | Q(
        ~Exists(letters), status=status.FAILED
    )
    outbox = OutboxMessage.objects.using(using).filter(published_at__lt=oldest)
    return [
        Sweep(inbox, "finished_at", using=using, done=done),
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
    requests = ActionRequest.objects.using(using).filter(finished_at__lt=oldest)
    return [
        Sweep(actions, "at", using=using),
        Sweep(redrives, "finished_at", using=using),
        Sweep(requests, "finished_at", using=using),
    ]
