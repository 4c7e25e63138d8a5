"""The figures of the overview and of the gauges: each is counted up to a bound, or in an index alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from django.db.models import Count, Q
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.drivers.clock import database_now
from whizbang.models import (
    DeadLetter,
    InboxMessage,
    OutboxMessage,
    ParkedStream,
    SagaInstance,
    SagaTimeout,
    WorkerProcess,
)
from whizbang.operations.overview.standing import Age, Standing, exact_age, read_standings
from whizbang.operations.sagas.finding import known_sagas
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.registered import log_readers

MOST_COUNTED = 100_000  # rows; where there are more, this is what the figure says
OVERDUE_SECONDS = 60.0  # a timeout that was due so long ago should have fired
_MOST_GROUPS, _MOST_GROUPED = 5, 20_000
_WAITING = (
    InboxMessage.Status.STORED,
    InboxMessage.Status.RUNNING,
    InboxMessage.Status.RETRYING,
)


class SubscriptionFigures(msgspec.Struct, omit_defaults=True):
    """What is unknown, or has no meaning for it, is None."""

    lag_events: int | None = None
    lag_seconds: float | None = None
    parked: int = 0


class LetterFigures(msgspec.Struct):
    """Dead letters of one type with one reason."""

    type: str
    reason: str
    letters: int


class Figures(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What stood where at one moment, as it is kept in a MetricSample."""

    head: int
    counted_to: int = MOST_COUNTED  # rows: a count that says so much may be more
    subscriptions: dict[str, SubscriptionFigures] = {}
    outbox: int = 0
    outbox_oldest_seconds: float | None = None
    inbox: dict[str, int] = {}
    dead_letters: int = 0
    letter_groups: list[LetterFigures] = []
    parked: int = 0
    sagas_open: int = 0
    timeouts_overdue: int = 0
    timeouts_failed: int = 0
    workers: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """One reading: the figures, and the subscriptions by partition."""

    figures: Figures
    standings: Sequence[Standing]


def measure(
    store: EventStore, *, head: int | None = None, most: int = MOST_COUNTED, age: Age = exact_age
) -> Measured:
    """Read everything; with exact ages a statement for each partition that lags, and a dozen others."""
    head = store.head() if head is None else head
    standings = read_standings(store, head, age=age)
    parked = _read_parked(store, standings)
    letters = _count(DeadLetter.objects.using(store.using), most)
    outbox = OutboxMessage.objects.using(store.using).filter(published_at__isnull=True)
    sagas = SagaInstance.objects.using(store.using)
    timeouts = SagaTimeout.objects.using(store.using)
    overdue = Now() - timedelta(seconds=OVERDUE_SECONDS)
    seen = database_now(store.using) - timedelta(seconds=settings.LEASE_SECONDS)
    figures = Figures(
        head=head,
        counted_to=most,
        subscriptions={
            found.name: SubscriptionFigures(
                found.lag_events, found.lag_seconds, parked.get(found.name, 0)
            )
            for found in standings
        },
        outbox=_count(outbox, most),
        outbox_oldest_seconds=_age_of_oldest(outbox, store.using),
        inbox=_read_inbox(store, most),
        dead_letters=letters,
        letter_groups=_group_letters(store, min(most, _MOST_GROUPED)) if letters else [],
        parked=sum(parked.values()),
        sagas_open=_count(
            sagas.filter(saga__in=known_sagas(), status=SagaInstance.Status.OPEN), most
        ),
        timeouts_overdue=_count(timeouts.filter(parked_at=None, due_at__lt=overdue), most),
        timeouts_failed=_count(timeouts.filter(parked_at__isnull=False), most),
        workers=_count(WorkerProcess.objects.using(store.using).filter(seen_at__gte=seen), most),
    )
    return Measured(figures, standings)


def _count(rows: Any, most: int) -> int:
    found: int = rows.order_by()[:most].count()
    return found


def _age_of_oldest(outbox: Any, using: str) -> float | None:
    """The first in the index of what is not sent; None when nothing waits."""
    oldest = outbox.order_by("id").values_list("occurred_at", flat=True).first()
    if oldest is None:
        return None
    return max(0.0, float((database_now(using) - oldest).total_seconds()))


def _read_inbox(store: EventStore, most: int) -> dict[str, int]:
    """By status, of what is not finished."""
    rows = InboxMessage.objects.using(store.using).filter(finished_at__isnull=True)
    counts = {status.value: Count("pk", filter=Q(status=status.value)) for status in _WAITING}
    found: dict[str, int] = rows.order_by()[:most].aggregate(**counts)
    return found


def _read_parked(store: EventStore, standings: Sequence[Standing]) -> dict[str, int]:
    """By subscription, in the index alone."""
    found: dict[str, int] = {}
    names = [standing.name for standing in standings]
    for using in sorted({store.using, *_databases(store)}):
        rows = ParkedStream.objects.using(using).filter(subscription__in=names).order_by()
        for name, count in rows.values_list("subscription").annotate(Count("pk")):
            found[name] = found.get(name, 0) + count
    return found


def _databases(store: EventStore) -> set[str]:
    return {definition.using for definition in log_readers(store)}


def _group_letters(store: EventStore, most: int) -> list[LetterFigures]:
    """The biggest groups of the newest letters."""
    rows = DeadLetter.objects.using(store.using)
    older = rows.order_by("-pk").values_list("pk", flat=True)[most : most + 1]
    if boundary := list(older):
        rows = rows.filter(pk__gt=boundary[0])
    groups = rows.order_by().values_list("type", "reason").annotate(letters=Count("pk"))
    chosen = groups.order_by("-letters", "type", "reason")[:_MOST_GROUPS]
    return [LetterFigures(*group) for group in chosen]
