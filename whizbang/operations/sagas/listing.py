"""Instances of sagas, the newest first, and keys whose first event failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

import msgspec
from django.db import connections
from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat, Now

from whizbang.drivers.clock import database_now
from whizbang.exceptions import WhizbangError
from whizbang.models import ParkedStream, SagaInstance, SagaTimeout, Subscription
from whizbang.operations.sagas.facts import facts_of
from whizbang.operations.sagas.finding import known_sagas
from whizbang.sagas.subscription import SagaSubscription
from whizbang.store.event_store import event_store

Status = SagaInstance.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedInstance:
    """One line of a list. `error` is of what has failed and was not mended yet; empty where nothing has."""

    saga: str
    key: str
    stream: str
    status: str
    version: int
    last_step: str
    error: str
    next_timeout_at: datetime | None
    is_overdue: bool  # its next timeout was due already
    started_at: datetime
    stepped_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstartedInstance:
    """A key that an event would have started an instance for, had it not failed."""

    id: int
    saga: str
    key: str
    type: str
    stream: str
    version: int
    position: int
    error: str
    parked_at: datetime


def list_instances(
    *,
    saga: str | None = None,
    status: str | None = None,
    is_failing: bool = False,
    is_overdue: bool = False,
    after: str | None = None,
    limit: int = 50,
) -> list[ListedInstance]:
    """At most `limit` instances, the newest first, behind the one whose stream is `after`.

    What is given holds together: `is_failing` takes those with an event or a timeout that was set aside,
    `is_overdue` those that wait for a timeout which was due already. Raises WhizbangError for a saga that
    neither the code nor any row knows, and where `after` is gone.
    """
    using = event_store().using
    rows = instances(saga=saga, status=status, is_failing=is_failing, is_overdue=is_overdue)
    if after is not None:
        rows = rows.filter(_behind(after, using))
    rows = rows.defer("state", "plans", "origin")
    if not is_failing:
        rows = _by_index(rows, saga, Status.OPEN if is_overdue else status, limit)
    page = list(rows[:limit])
    errors, now = _errors_of(page, using), database_now(using)
    return [_listed(row, errors.get(row.stream, row.error), now) for row in page]


def instances(
    *,
    saga: str | None = None,
    status: str | None = None,
    is_failing: bool = False,
    is_overdue: bool = False,
) -> QuerySet[SagaInstance]:
    """All of those that list_instances() gives page by page. Raises what it raises."""
    using = event_store().using
    rows = SagaInstance.objects.using(using).order_by("-started_at", "stream")
    rows = _narrow(rows, saga, status)
    if is_failing:
        rows = rows.filter(stream__in=_set_aside(using))
    if is_overdue:
        rows = rows.filter(status=Status.OPEN, next_timeout_at__lte=Now())
    return rows


def states_of(streams: Sequence[str]) -> dict[str, Any]:
    """The states of listed instances, as plain values, by stream: no list carries them while it is sorted."""
    rows = SagaInstance.objects.using(event_store().using).filter(pk__in=streams)
    found = rows.values_list("stream", "state")
    return {stream: msgspec.json.decode(bytes(state)) for stream, state in found}


def names_with_instances() -> list[str]:
    """The sagas that the code declares, and those that it declared once: a saga has a subscription."""
    rows = Subscription.objects.using(event_store().using).filter(kind=SagaSubscription.kind)
    return sorted({*known_sagas(), *rows.values_list("name", flat=True)})


def list_unstarted(
    *, saga: str | None = None, after: int = 0, limit: int = 50
) -> list[UnstartedInstance]:
    """At most `limit` keys that have no instance because the event which starts it fails, the oldest first."""
    using = event_store().using
    stream = Concat(OuterRef("subscription"), Value("-"), OuterRef("key"))
    started = SagaInstance.objects.using(using).filter(stream=stream)
    names = known_sagas() if saga is None else [saga]
    rows = ParkedStream.objects.using(using).filter(
        ~Exists(started), subscription__in=names, unit=ParkedStream.Unit.KEY, pk__gt=after
    )
    return [
        facts_of(UnstartedInstance, row, id=row.pk, saga=row.subscription)
        for row in rows.order_by("pk")[:limit]
    ]


def _narrow(
    rows: QuerySet[SagaInstance], saga: str | None, status: str | None
) -> QuerySet[SagaInstance]:
    if status is not None:
        rows = rows.filter(status=status)
    if saga is None:
        return rows
    # One whose class is gone still has its rows.
    if saga not in known_sagas() and not rows.filter(saga=saga).exists():
        known = ", ".join(known_sagas()) or "none"
        raise WhizbangError(f"No saga {saga!r}: there are {known}.")
    return rows.filter(saga=saga)


def _set_aside(using: str) -> Any:
    """The streams of those that have failed. Not by the row's own error: a later step clears it."""
    names = names_with_instances()
    parked = ParkedStream.objects.using(using).order_by()
    parked = parked.filter(subscription__in=names, unit=ParkedStream.Unit.KEY)
    streams = parked.values_list(Concat("subscription", Value("-"), "key"))
    timeouts = SagaTimeout.objects.using(using).filter(parked_at__isnull=False).order_by()
    return streams.union(timeouts.values_list("stream"))


def _by_index(
    rows: QuerySet[SagaInstance], saga: str | None, status: str | None, limit: int
) -> QuerySet[SagaInstance]:
    """The first of each saga and status, then the first of these: the index is by these two, and then by time.

    Without it a database sorts all rows there are. SQLite has no statement for it.
    """
    if not connections[rows.db].features.supports_slicing_ordering_in_compound:
        return rows
    names = names_with_instances() if saga is None else [saga]
    statuses = Status.values if status is None else [status]
    parts = [rows.filter(saga=name, status=one)[:limit] for name, one in product(names, statuses)]
    if len(parts) < 2:
        return rows
    return parts[0].union(*parts[1:], all=True).order_by("-started_at", "stream")


def _behind(stream: str, using: str) -> Q:
    last = SagaInstance.objects.using(using).filter(stream=stream).only("started_at").first()
    if last is None:
        raise WhizbangError(f"The instance {stream!r} is gone: begin the list anew.")
    earlier = Q(started_at__lt=last.started_at) | Q(stream__gt=stream)
    return Q(started_at__lte=last.started_at) & earlier  # a bound that an index can take


def _errors_of(page: Sequence[SagaInstance], using: str) -> dict[str, str]:
    timeouts = SagaTimeout.objects.using(using).filter(
        stream__in=[row.stream for row in page], parked_at__isnull=False
    )
    parked = ParkedStream.objects.using(using).filter(
        subscription__in={row.saga for row in page},
        unit=ParkedStream.Unit.KEY,
        key__in=[row.key for row in page],
    )
    found = dict(timeouts.values_list("stream", "error"))
    events = parked.values_list("subscription", "key", "error")
    return found | {f"{saga}-{key}": error for saga, key, error in events}


def _listed(row: SagaInstance, error: str, now: datetime) -> ListedInstance:
    due_at = row.next_timeout_at
    is_overdue = due_at is not None and due_at <= now
    return facts_of(ListedInstance, row, error=error, is_overdue=is_overdue)
