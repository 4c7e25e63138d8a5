"""The timeouts that sagas wait for: what is due next, what was due already, and what has failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from whizbang.drivers.clock import database_now
from whizbang.exceptions import WhizbangError
from whizbang.models import SagaTimeout
from whizbang.operations.sagas.facts import facts_of
from whizbang.store.event_store import event_store

DUE, OVERDUE, FAILED = "due", "overdue", "failed"
KINDS = (DUE, OVERDUE, FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTimeout:
    """One line of a list; `parked_at`: since when it stands aside, because its method failed."""

    id: int
    saga: str
    key: str
    stream: str
    name: str
    due_at: datetime
    is_overdue: bool
    attempts: int
    parked_at: datetime | None
    error: str


def list_timeouts(
    kind: str = DUE, *, saga: str | None = None, after: int | None = None, limit: int = 50
) -> list[ListedTimeout]:
    """At most `limit` timeouts, the first to be due first, behind the one with the id `after`.

    `kind`: "due" are all that have not failed, "overdue" those of them whose time has come, "failed" those
    that wait for an operator. Raises WhizbangError where `after` is gone: it has fired.
    """
    using = event_store().using
    rows = timeouts(kind, saga=saga)
    if after is not None:
        rows = rows.filter(_behind(after, using))
    now = database_now(using)
    return [
        facts_of(ListedTimeout, row, id=row.pk, is_overdue=row.due_at <= now)
        for row in rows[:limit]
    ]


def timeouts(kind: str, *, saga: str | None = None) -> QuerySet[SagaTimeout]:
    """All of those that list_timeouts() gives page by page."""
    rows = SagaTimeout.objects.using(event_store().using).order_by("due_at", "id")
    rows = rows.filter(parked_at__isnull=kind != FAILED).defer("traceback")
    if kind == OVERDUE:
        rows = rows.filter(due_at__lte=Now())
    return rows if saga is None else rows.filter(saga=saga)


def _behind(pk: int, using: str) -> Q:
    last = SagaTimeout.objects.using(using).filter(pk=pk).only("due_at").first()
    if last is None:
        raise WhizbangError(f"The timeout {pk} is gone: begin the list anew.")
    return Q(due_at__gte=last.due_at) & (Q(due_at__gt=last.due_at) | Q(pk__gt=pk))
