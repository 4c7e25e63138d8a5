"""Doing a backfill: batch by batch, each in one transaction with the run's progress."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.drivers.errors import is_conflict, is_passing
from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import WhizbangError
from whizbang.messages.text import error_text, traceback_text
from whizbang.models import Backfill, ParkedStream, Rebuild, SkippedEvent
from whizbang.operations.backfill import OPEN, Status, aliases_of
from whizbang.operations.rebuild import open_rebuild
from whizbang.operations.scope import section_from_plain
from whizbang.operations.subscriptions import find_subscription
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.checkpoint import hold_still
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.leases import LeaseHolder, make_owner
from whizbang.subscriptions.registered import all_definitions

logger = logging.getLogger(__name__)
_LEASE = "whizbang.backfill"
_TURN_SECONDS = 1.0  # that a turn of the worker may take
_PAUSE_SECONDS = 0.2
_MOST_RUNS = 100  # that are looked at in one turn


class BackfillMoved(WhizbangError):
    """A run was cancelled, or another worker is at it; nothing was written."""


class _RebuildInTheWay(WhizbangError):
    """A rebuild of the projection is open: it will make the rows anew."""


class _Rebuilt(WhizbangError):
    """A rebuild has made the rows anew since the backfill was asked for."""


class BackfillPart:
    """Does the open backfills of one store in turn, a batch of each, under a lease."""

    def __init__(self, store: EventStore, owner: str) -> None:
        self.store = store
        aliases = aliases_of(all_definitions(store))
        self._leases = {using: LeaseHolder(owner, using=using) for using in aliases}
        self._due_at: dict[tuple[str, int], float] = {}

    def run_once(self, *, is_limited: bool = True) -> int:
        """A batch of every open run; gives the number of events. Rates count where it `is_limited`."""
        return sum(self._run_of(using, is_limited) for using in self._leases)

    def is_waiting(self) -> bool:
        """Is a run open that its rate alone holds up?"""
        # One that has become due since the last turn has waited until now.
        lately = time.monotonic() - _TURN_SECONDS
        return any(due_at > lately for due_at in self._due_at.values())

    def close(self) -> None:
        for leases in self._leases.values():
            leases.release_all()

    def _run_of(self, using: str, is_limited: bool) -> int:
        runs = list(
            Backfill.objects.using(using).filter(status__in=OPEN).order_by("id")[:_MOST_RUNS]
        )
        self._forget_all_but({run.pk for run in runs}, using)
        if not runs or self._leases[using].epoch_of(_LEASE) is None:
            return 0
        return sum(self._step_guarded(run, using, is_limited) for run in runs)

    def _forget_all_but(self, open_runs: set[int], using: str) -> None:
        for key in [k for k in self._due_at if k[0] == using and k[1] not in open_runs]:
            del self._due_at[key]

    def _step_guarded(self, run: Backfill, using: str, is_limited: bool) -> int:
        now, due_at = time.monotonic(), self._due_at.get((using, run.pk), 0.0)
        if is_limited and due_at > now:
            return 0
        try:
            done = step(self.store, run, using)
        except BackfillMoved as exc:
            logger.info("Backfill left reason=%s", exc)
            return 0
        if run.events_per_second is not None and done:
            self._due_at[using, run.pk] = max(now, due_at) + done / run.events_per_second
        # A run that has ended did something too, else who waits for it would not look again.
        return done or int(run.status not in OPEN)


def backfill_here(run: Backfill) -> Backfill:
    """Do a requested backfill in this process, as a worker would, to its end.

    Raises WhizbangError while a worker does backfills, and when the run fails.
    """
    store, using = event_store(), run._state.db or "default"
    leases = LeaseHolder(make_owner(), using=using)
    due_at = 0.0
    try:
        while run.status in OPEN:
            if leases.epoch_of(_LEASE) is None:
                raise WhizbangError(
                    f"A worker does backfills just now, and will do run {run.pk} of {run.subscription}."
                )
            time.sleep(max(0.0, due_at - time.monotonic()))
            done = step(store, run, using)
            if not done and run.status in OPEN:
                time.sleep(_PAUSE_SECONDS)  # a rebuild or a conflict is in the way
            if run.events_per_second is not None:
                due_at = max(due_at, time.monotonic()) + done / run.events_per_second
            run.refresh_from_db(using=using)
    finally:
        leases.release_all()
    if run.status == Status.FAILED:
        raise WhizbangError(f"Backfill {run.pk} of {run.subscription} failed: {run.error}")
    return run


def step(store: EventStore, run: Backfill, using: str) -> int:
    """Apply the next batch of a run; gives its number of events, and leaves the run as it stands then.

    Raises `BackfillMoved`, and database errors that pass by themselves.
    """
    try:
        definition = find_subscription(store, run.subscription)
    except WhizbangError as exc:
        _end(run, using, Status.FAILED, str(exc))
        return 0
    _start(run, using)
    rows, upto = _next_rows(definition, run)
    try:
        _apply(definition, run, rows, upto)
    except _RebuildInTheWay as exc:
        logger.info("Backfill waits reason=%s", exc)
        return 0
    except BackfillMoved:
        raise
    except _Rebuilt as exc:
        _end(run, using, Status.FAILED, str(exc))
        return 0
    except Exception as exc:
        if is_conflict(exc):
            logger.info("Backfill batch will be tried again reason=%s", exc)
            return 0
        if is_passing(exc, using=using):
            raise
        return _apply_one_by_one(definition, run, rows)
    if upto >= run.until:
        _end(run, using, Status.DONE)
    return len(rows)


def _start(run: Backfill, using: str) -> None:
    if run.status == Status.REQUESTED:
        rows = Backfill.objects.using(using).filter(pk=run.pk, status=Status.REQUESTED)
        rows.update(status=Status.RUNNING, started_at=Now())
        run.refresh_from_db(using=using)


def _next_rows(definition: SubscriptionDefinition, run: Backfill) -> tuple[list[StoredRow], int]:
    """The next batch, and up to where nothing else of the scope stands."""
    limit = settings.BATCH_SIZE
    if run.events_per_second is not None:
        limit = max(1, min(limit, int(run.events_per_second)))
    section = section_from_plain(
        run.scope, after=run.position, until=run.until, types=definition.type_names
    )
    rows = section.read(definition.store, limit=limit)
    return rows, run.until if len(rows) < limit else rows[-1].position


def _apply(
    definition: SubscriptionDefinition, run: Backfill, rows: Sequence[StoredRow], upto: int
) -> None:
    """Rows and progress commit together, while the subscription itself stands still."""
    with transaction.atomic(using=definition.using):
        hold_still(definition)
        _refuse_rebuilt(definition, run)
        wanted = _without_left_out(definition, rows)
        _advance(run, definition.using, upto, done=len(rows), left_out=len(rows) - len(wanted))
        if wanted:
            definition.deliver(wanted)
    run.position = upto


def _advance(run: Backfill, using: str, upto: int, *, done: int, left_out: int) -> None:
    """Move the run, if it still stands where we read it: else its events would be applied twice."""
    mine = Backfill.objects.using(using).filter(
        pk=run.pk, status=Status.RUNNING, position=run.position
    )
    changed = mine.update(
        position=upto,
        events_done=F("events_done") + done,
        events_left_out=F("events_left_out") + left_out,
    )
    if not changed:
        raise BackfillMoved(f"Backfill {run.pk} of {run.subscription} was cancelled or taken over.")


def _refuse_rebuilt(definition: SubscriptionDefinition, run: Backfill) -> None:
    """What a rebuild has folded must not be applied once more."""
    rebuilds = Rebuild.objects.using(definition.store.using).filter(projection=definition.name)
    if open_rebuild(definition.store, definition.name) is not None:
        raise _RebuildInTheWay(f"A rebuild of {definition.name} is open.")
    if rebuilds.filter(status=Rebuild.Status.DONE, pk__gt=run.last_rebuild).exists():
        raise _Rebuilt("A rebuild has made the rows anew since the backfill was asked for.")


def _without_left_out(
    definition: SubscriptionDefinition, rows: Sequence[StoredRow]
) -> list[StoredRow]:
    """Without what the subscription itself does not apply: skipped events, and parked ones."""
    using, name = definition.using, definition.name
    parked = dict(
        ParkedStream.objects.using(using)
        .filter(subscription=name)
        .values_list("stream", "position")
    )
    positions = [row.position for row in rows]
    skipped = set(
        SkippedEvent.objects.using(using)
        .filter(subscription=name, position__in=positions)
        .values_list("position", flat=True)
    )
    return [
        row
        for row in rows
        if row.position not in skipped and row.position < parked.get(row.stream, row.position + 1)
    ]


def _apply_one_by_one(
    definition: SubscriptionDefinition, run: Backfill, rows: Sequence[StoredRow]
) -> int:
    """Go on up to the event that fails, and end the run there."""
    for count, row in enumerate(rows):
        try:
            _apply(definition, run, [row], row.position)
        except (BackfillMoved, _RebuildInTheWay, _Rebuilt) as exc:
            logger.info("Backfill batch is left reason=%s", exc)
            return count
        except Exception as exc:
            if is_conflict(exc):
                return count
            if is_passing(exc, using=definition.using):
                raise
            place = f"version {row.version} of stream {row.stream}, position {row.position}"
            _end(run, definition.using, Status.FAILED, _story_of(exc, place))
            return count
    return len(rows)


def _story_of(error: Exception, place: str) -> str:
    """What went wrong in the first line, for lists, and below where."""
    return f"{error_text(error)[:2000]} (at {place})\n\n{traceback_text(error)}"


def _end(run: Backfill, using: str, status: Backfill.Status, error: str = "") -> None:
    rows = Backfill.objects.using(using).filter(pk=run.pk, status__in=OPEN)
    rows.update(status=status, error=error, finished_at=Now())
    run.refresh_from_db(using=using)
    if error:
        logger.error(
            "Backfill failed id=%s subscription=%s error=%s", run.pk, run.subscription, error
        )
