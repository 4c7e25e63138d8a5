"""Where everything stands."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Count, Max, Min

from whizbang.models import (
    DeadLetter,
    InboxMessage,
    OutboxMessage,
    ParkedStream,
    Rebuild,
    Subscription,
)
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.known_types import unknown_types
from whizbang.subscriptions.registered import all_definitions


@dataclass(frozen=True, slots=True)
class RebuildStatus:
    """The latest rebuild of a projection; `error` is its first line, empty unless it failed."""

    id: int
    status: str
    error: str


@dataclass(frozen=True, slots=True)
class SubscriptionStatus:
    """One subscription; lag is None where it is unknown or has no meaning."""

    name: str
    kind: str
    status: str
    position: int | None
    lag_events: int | None
    parked: int
    needs_rebuild: bool
    is_rebuildable: bool
    error: str
    rebuild: RebuildStatus | None


def subscription_statuses(store: EventStore | None = None) -> list[SubscriptionStatus]:
    """All subscriptions that this service runs, with position and lag in positions of the log."""
    store = store or event_store()
    head = store.head()
    rebuilds = _latest_rebuilds(store)
    statuses = []
    for definition in all_definitions(store):
        rows = Subscription.objects.using(definition.using)
        row = rows.filter(name=definition.name).first()
        parked = ParkedStream.objects.using(definition.using).filter(subscription=definition.name)
        is_inline = definition.kind == "inline"
        projection = getattr(definition, "projection", None)
        statuses.append(
            SubscriptionStatus(
                name=definition.name,
                kind=definition.kind,
                status=row.status if row else "new",
                position=None if row is None or is_inline else row.position,
                lag_events=None if row is None or is_inline else max(0, head - row.position),
                parked=parked.count(),
                needs_rebuild=row is not None and row.version != definition.version,
                is_rebuildable=projection is not None and projection.is_rebuildable,
                error=row.error if row else "",
                rebuild=rebuilds.get(definition.name),
            )
        )
    return statuses


def _latest_rebuilds(store: EventStore) -> dict[str, RebuildStatus]:
    rows = Rebuild.objects.using(store.using)
    latest = rows.values("projection").annotate(latest=Max("id")).order_by().values("latest")
    return {
        run.projection: RebuildStatus(run.pk, run.status, first_line(run.error))
        for run in rows.filter(pk__in=latest)
    }


def first_line(error: str) -> str:
    """What a list shows of an error."""
    return error.strip().partition("\n")[0]


def overview(store: EventStore | None = None) -> dict[str, Any]:
    """Head, subscriptions, queue, outbox and dead letters, as plain values for JSON."""
    store = store or event_store()
    inbox = InboxMessage.objects.using(store.using)
    outbox = OutboxMessage.objects.using(store.using).filter(published_at__isnull=True)
    waiting = inbox.filter(status__in=("stored", "running", "retrying"))
    return {
        "head": store.head(),
        "subscriptions": [asdict(status) for status in subscription_statuses(store)],
        "inbox": dict(_count_by_status(waiting)),
        "outbox": outbox.aggregate(unsent=Count("id"), oldest=Min("occurred_at")),
        "dead_letters": DeadLetter.objects.using(store.using).count(),
        "rebuilds": dict(_count_by_status(Rebuild.objects.using(store.using))),
        "unknown_types": unknown_types(store),
    }


def _count_by_status(rows: Any) -> Any:
    return rows.values_list("status").annotate(n=Count("pk")).order_by().values_list("status", "n")
