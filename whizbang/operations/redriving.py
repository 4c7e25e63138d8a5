"""Doing a redrive: the canary first, then the rest at its rate, each step in one transaction with the run's progress.

What was put back is handled as any message, perhaps by another worker; the run remembers which of them
have no outcome yet, at most `_MOST_WAITING`, and looks what became of them.
"""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

from django.db import transaction
from django.db.models.functions import Now

from whizbang.drivers.errors import is_conflict, is_passing
from whizbang.exceptions import ConcurrencyError
from whizbang.messages.text import error_text
from whizbang.models import DeadLetter, Redrive
from whizbang.operations.dead_letters import Redriven, put_back
from whizbang.operations.letter_filter import LetterFilter
from whizbang.operations.outcomes import Outcome, Waiting, outcomes_of
from whizbang.operations.redrive import OPEN, Status
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.leases import LeaseHolder

logger = logging.getLogger(__name__)
_LEASE = "whizbang.redrive"
_TURN_SECONDS = 1.0  # that a turn of the worker may take
_MOST_RUNS = 100  # that are looked at in one turn
_MOST_WAITING = 100  # more letters are put back only as outcomes come in
_MOST_AT_ONCE = 50  # put back in one transaction
_PACE_SECONDS = 0.2  # a rate is kept over this time


class Step(NamedTuple):
    """What one step did: outcomes that came in, letters that were put back or could not be."""

    outcomes: int = 0
    letters: int = 0


class RedrivePart:
    """Does the open redrives of one store in turn, a step of each, under a lease."""

    def __init__(self, store: EventStore, owner: str) -> None:
        self.store = store
        self._leases = LeaseHolder(owner, using=store.using)
        self._due_at: dict[int, float] = {}

    def run_once(self, *, is_limited: bool = True) -> int:
        """A step of every open run; gives how much was done. Rates count where it `is_limited`."""
        rows = Redrive.objects.using(self.store.using).filter(status__in=OPEN)
        runs = list(rows.order_by("pk").only("pk", "rate_per_second")[:_MOST_RUNS])
        open_runs = {run.pk for run in runs}
        self._due_at = {pk: due_at for pk, due_at in self._due_at.items() if pk in open_runs}
        if not runs or self._leases.epoch_of(_LEASE) is None:
            return 0
        return sum(self._step_guarded(run, is_limited) for run in runs)

    def is_waiting(self) -> bool:
        """Is a run open that its rate alone holds up?"""
        # One that has become due since the last turn has waited until now.
        lately = time.monotonic() - _TURN_SECONDS
        return any(due_at > lately for due_at in self._due_at.values())

    def close(self) -> None:
        self._leases.release_all()

    def _step_guarded(self, run: Redrive, is_limited: bool) -> int:
        now, due_at = time.monotonic(), self._due_at.get(run.pk, 0.0)
        rate = run.rate_per_second if is_limited else None
        try:
            done = step(
                self.store, run.pk, most=_most_now(rate) if due_at <= now or not rate else 0
            )
        except Exception as exc:
            if not (is_conflict(exc) or isinstance(exc, ConcurrencyError)):
                raise
            logger.info("Redrive step will be tried again id=%s reason=%s", run.pk, exc)
            return 0
        if rate and done.letters:
            self._due_at[run.pk] = max(now, due_at) + done.letters / rate
        return done.outcomes + done.letters


def _most_now(rate: float | None) -> int:
    return _MOST_AT_ONCE if rate is None else max(1, min(_MOST_AT_ONCE, int(rate * _PACE_SECONDS)))


def step(store: EventStore, pk: int, *, most: int) -> Step:
    """Note outcomes, and put back up to `most` letters if these allow it; all or nothing.

    Safe whoever else does it: the row is locked, and one that has ended is left as it is. Raises database
    errors that pass by themselves.
    """
    with transaction.atomic(using=store.using):
        rows = Redrive.objects.using(store.using).select_for_update()
        run = rows.filter(pk=pk, status__in=OPEN).first()
        if run is None:
            return Step()
        if run.status == Status.REQUESTED:
            Redrive.objects.using(store.using).filter(pk=pk).update(started_at=Now())
            run.status = Status.RUNNING
        outcomes = _note_outcomes(store, run)
        letters, has_more = _put_back_some(store, run, most)
        if run.status == Status.RUNNING and not has_more and not run.waiting:
            run.status = Status.DONE
        _save(store, run)
    if run.status == Status.STOPPED:
        logger.error("Redrive stopped id=%s error=%s", run.pk, run.error)
    # A run that has ended did something too, else who waits for it would not look again.
    return Step(outcomes + int(run.status not in OPEN), letters)


def _save(store: EventStore, run: Redrive) -> None:
    names = ("status", "position", "done", "handled", "failed", "waiting", "canary", "error")
    run.save(using=store.using, update_fields=names)
    if run.status not in OPEN:
        Redrive.objects.using(store.using).filter(pk=run.pk).update(finished_at=Now())


def _note_outcomes(store: EventStore, run: Redrive) -> int:
    """Count what has become of letters that were put back; a death may stop the run."""
    waiting = [Waiting(*item) for item in run.waiting]
    if not waiting:
        return 0
    found = outcomes_of(waiting, since=run.until, using=store.using)
    run.waiting = [list(item) for item in waiting if item not in found]
    for item, outcome in found.items():
        _note(run, outcome, f"message {item.message_id}")
    return len(found)


def _note(run: Redrive, outcome: Outcome, what: str) -> None:
    is_canary = run.canary in (Redrive.Canary.NONE, Redrive.Canary.WAITING)
    if outcome.is_handled:
        run.handled += 1
        run.canary = Redrive.Canary.HANDLED if is_canary else run.canary
        return
    run.failed += 1
    if is_canary:
        run.canary = Redrive.Canary.DIED
    if is_canary or not run.is_keeping_going:
        if run.status == Status.RUNNING:
            run.error = f"{what}: {outcome.error}"  # of the first one
        run.status = Status.STOPPED


def _put_back_some(store: EventStore, run: Redrive, most: int) -> tuple[int, bool]:
    """How many letters were tried, and whether there may be more."""
    count = 0
    while run.status == Status.RUNNING and count < most and _has_room(run):
        letter = _next_letter(store, run)
        if letter is None:
            return count, False
        _put_back_one(store, run, letter)
        count += 1
    return count, True


def _has_room(run: Redrive) -> bool:
    """The canary goes alone; afterwards so many as can be looked after."""
    if run.canary == Redrive.Canary.HANDLED:
        return len(run.waiting) < _MOST_WAITING
    return run.canary == Redrive.Canary.NONE


def _next_letter(store: EventStore, run: Redrive) -> DeadLetter | None:
    rows = LetterFilter.from_plain(run.filter).rows(store.using)
    wanted = rows.filter(pk__gt=run.position, pk__lte=run.until)
    letter: DeadLetter | None = wanted.defer(None).select_for_update().first()
    return letter


def _put_back_one(store: EventStore, run: Redrive, letter: DeadLetter) -> None:
    run.position = letter.pk
    try:
        with transaction.atomic(using=store.using):
            done = put_back(store, letter)
    except Exception as exc:
        if isinstance(exc, ConcurrencyError) or is_passing(exc, using=store.using):
            raise
        _note(run, Outcome(is_handled=False, error=error_text(exc)), f"dead letter {letter.pk}")
        return
    run.done += 1
    _begin_waiting(run, done)


def _begin_waiting(run: Redrive, done: Redriven) -> None:
    # That is all that an event waits for, of another service or one that a saga had no instance for.
    if done.where not in ("inbox", "outbox"):
        _note(run, Outcome(is_handled=True), f"message {done.message_id}")
        return
    run.waiting = [*run.waiting, [str(done.message_id), done.where]]
    if run.canary == Redrive.Canary.NONE:
        run.canary = Redrive.Canary.WAITING
