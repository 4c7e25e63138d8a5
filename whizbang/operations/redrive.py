"""Redrive: handle many dead letters again, asked for here and done by a worker."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from whizbang.exceptions import WhizbangError
from whizbang.messaging.nudge import nudge_after_commit
from whizbang.models import DeadLetter, Redrive
from whizbang.operations.audit import record_action
from whizbang.operations.letter_filter import LetterFilter
from whizbang.store.event_store import event_store

Status = Redrive.Status
OPEN = (Status.REQUESTED, Status.RUNNING)


def count_letters(chosen: LetterFilter) -> int:
    """How many dead letters a redrive would put back; nothing is changed."""
    found: int = chosen.rows(event_store().using).order_by().count()
    return found


def request_redrive(
    chosen: LetterFilter,
    *,
    rate_per_second: float | None = None,
    is_keeping_going: bool = False,
    requested_by: str = "",
    reason: str = "",
) -> Redrive:
    """Ask for dead letters to be handled again, oldest first; a worker does it.

    The first one goes alone, and the rest waits until it is handled; when it dies again the run stops.
    The rest goes at most at the rate, and stops at the first letter that dies again unless it
    `is_keeping_going`. Letters that die later than now are not in the run. Raises WhizbangError where no
    letter is chosen, or for a rate that is none.
    """
    if rate_per_second is not None and not 0 < rate_per_second < float("inf"):
        raise WhizbangError("A rate is a number of messages a second above 0.")
    using = event_store().using
    with transaction.atomic(using=using):
        newest = DeadLetter.objects.using(using).aggregate(newest=Max("pk"))["newest"] or 0
        total = chosen.rows(using).order_by().filter(pk__lte=newest).count()
        if not total:
            raise WhizbangError(f"There is no such dead letter ({chosen}): nothing to redrive.")
        run = Redrive.objects.using(using).create(
            filter=chosen.to_plain(),
            until=newest,
            total=total,
            rate_per_second=rate_per_second,
            is_keeping_going=is_keeping_going,
            requested_by=requested_by[:150],
            reason=reason,
        )
        result = f"Redrive {run.pk} is requested: {run.total} messages; a worker does it."
        _record("redrive", run, using, operator=requested_by, reason=reason, result=result)
        nudge_after_commit(using)
    return run


def cancel_redrive(pk: int, *, operator: str = "", reason: str = "") -> Redrive:
    """Put no more letters back; those that were are handled as any message.

    Raises WhizbangError for a run that is not open.
    """
    using = event_store().using
    with transaction.atomic(using=using):
        run = Redrive.objects.using(using).select_for_update().filter(pk=pk).first()
        if run is None or run.status not in OPEN:
            state = f"is {run.status}" if run else "is not there"
            raise WhizbangError(f"Redrive {pk} {state}: there is nothing to cancel.")
        Redrive.objects.using(using).filter(pk=pk).update(
            status=Status.CANCELLED, finished_at=Now()
        )
        result = f"Redrive {run.pk} is cancelled, {run.done} of {run.total} done."
        _record("cancel redrive", run, using, operator=operator, reason=reason, result=result)
    run.refresh_from_db(using=using)
    return run


def redrives(*, limit: int = 50) -> list[Redrive]:
    """The newest runs."""
    return list(Redrive.objects.using(event_store().using).order_by("-pk")[:limit])


def _record(
    action: str, run: Redrive, using: str, *, operator: str, reason: str, result: str
) -> None:
    parameters = {
        "filter": run.filter,
        "rate_per_second": run.rate_per_second,
        "is_keeping_going": run.is_keeping_going,
        "done": run.done,
        "total": run.total,
    }
    record_action(
        action,
        f"redrive {run.pk}",
        using=using,
        operator=operator,
        reason=reason,
        parameters=parameters,
        result=result,
    )
