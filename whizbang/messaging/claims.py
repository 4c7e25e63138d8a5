"""Claiming due messages: taken by one worker at a time, given up with its lease."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.messaging.due import take_due
from whizbang.messaging.rate_limits import hold_back
from whizbang.messaging.replies import send_answers
from whizbang.models import InboxMessage

Status = InboxMessage.Status
_EXPIRED = "It was not handled before it expired."


def claim_due(*, using: str, limit: int, is_impatient: bool = False) -> list[InboxMessage]:
    """Take due messages, each under the same new claim; those that have expired are marked so.

    While a message runs, its `available_at` is the end of the claim: a worker that dies leaves it to
    others. What a dead worker has left is taken one by one, so that the message that killed it
    does not use up the attempts of its neighbours.

    What is over its handler's rate limit stays stored for later. `is_impatient`, for tests: neither
    pauses before retries nor rate limits count.
    """
    while True:
        with transaction.atomic(using=using):
            found = take_due(using=using, limit=limit, retries_are_due=is_impatient)
            rows = _claim(found, using, is_limited=not is_impatient)
        # Behind what rate limits hold back there may be others that are due.
        if rows or not found:
            return rows


def _claim(found: Sequence[InboxMessage], using: str, *, is_limited: bool) -> list[InboxMessage]:
    abandoned = [row for row in found if row.status == Status.RUNNING]
    rows = list(abandoned[:1] or found)
    _mark_expired([row for row in rows if row.expires_at is not None], using)
    expired = [row for row in rows if row.status == Status.EXPIRED]
    live = [row for row in rows if row.status != Status.EXPIRED]
    if is_limited:
        live = hold_back(live, using=using)
    _mark_running(live, using)
    return [*expired, *live]


def extend_claim(claim: UUID, *, using: str) -> None:
    """Let a claim last for another lease."""
    InboxMessage.objects.using(using).filter(
        claim=claim, status=Status.RUNNING, finished_at__isnull=True, service=settings.SERVICE
    ).update(available_at=Now() + timedelta(seconds=settings.LEASE_SECONDS))


def give_back(rows: Sequence[InboxMessage], *, using: str) -> None:
    """Let others take claimed messages that were not handled; their attempt does not count."""
    if rows:
        InboxMessage.objects.using(using).filter(
            pk__in=[row.pk for row in rows], claim=rows[0].claim, status=Status.RUNNING
        ).update(status=Status.STORED, attempts=F("attempts") - 1, available_at=Now())


def _mark_expired(rows: Sequence[InboxMessage], using: str) -> None:
    if not rows:
        return
    mine = InboxMessage.objects.using(using).filter(pk__in=[row.pk for row in rows])
    mine.filter(expires_at__lte=Now()).update(
        status=Status.EXPIRED,
        error=_EXPIRED,
        payload=None,
        metadata=None,
        ordering_key=None,
        finished_at=Now(),
    )
    expired = set(mine.filter(status=Status.EXPIRED).values_list("pk", flat=True))
    for row in rows:
        if row.pk in expired:
            row.status = Status.EXPIRED
    gone = [row for row in rows if row.pk in expired]
    send_answers(gone, Status.EXPIRED, using=using, error=_EXPIRED)


def _mark_running(live: Sequence[InboxMessage], using: str) -> None:
    if not live:
        return
    claim = uuid4()
    InboxMessage.objects.using(using).filter(pk__in=[row.pk for row in live]).update(
        status=Status.RUNNING,
        claim=claim,
        attempts=F("attempts") + 1,
        available_at=Now() + timedelta(seconds=settings.LEASE_SECONDS),
    )
    for row in live:
        row.status, row.claim, row.attempts = Status.RUNNING, claim, row.attempts + 1
