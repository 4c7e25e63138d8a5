"""Where everything stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Count, Max, Min
from django.db.models.functions import Now

from whizbang.drivers.clock import database_now
from whizbang.models import (
    DeadLetter,
    InboxMessage,
    Lease,
    OutboxMessage,
    ParkedStream,
    Partition,
    Rebuild,
    Subscription,
)
from whizbang.operations.rebuild.progress import progress_of
from whizbang.operations.rebuild.requests import OPEN
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.known_types import unknown_types
from whizbang.subscriptions.partitioning import WHOLE, SliceRange, lease_name
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.start import needs_rebuild

_NO_END = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RebuildStatus:
    """The latest rebuild of a projection; `error` is its first line, empty unless it failed.

    `progress` says in words how far an open one has come.
    """

    id: int
    status: str
    error: str
    progress: str


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition: of slices first_slice <= slice < end_slice. See SubscriptionStatus."""

    first_slice: int
    end_slice: int
    position: int
    lag_events: int
    lag_seconds: float
    owner: str | None

    def __str__(self) -> str:
        return f"{self.first_slice}-{self.end_slice}"


@dataclass(frozen=True, slots=True)
class SubscriptionStatus:
    """One subscription; what is unknown, or has no meaning for it, is None.

    `lag_events` counts positions of the log up to its settled head, `lag_seconds` is the age of the
    first event that is not applied yet, `owner` the worker that holds its lease. Of several partitions:
    what stands furthest behind, and all owners. `partitions` is empty for what has no checkpoint.
    """

    name: str
    kind: str
    status: str
    position: int | None
    lag_events: int | None
    lag_seconds: float | None
    owner: str | None
    parked: int
    needs_rebuild: bool
    is_rebuildable: bool
    error: str
    rebuild: RebuildStatus | None
    partition_by: str | None
    partitions: list[PartitionStatus]


def subscription_statuses(store: EventStore | None = None) -> list[SubscriptionStatus]:
    """All subscriptions that this service runs, with position and lag in positions of the log."""
    store = store or event_store()
    return _statuses_at(store, store.head())


def _statuses_at(store: EventStore, head: int) -> list[SubscriptionStatus]:
    rebuilds = _latest_rebuilds(store)
    statuses = []
    for definition in all_definitions(store):
        rows = Subscription.objects.using(definition.using)
        row = rows.filter(name=definition.name).first()
        parked = ParkedStream.objects.using(definition.using).filter(subscription=definition.name)
        is_inline = definition.kind == "inline"
        projection = getattr(definition, "projection", None)
        partitions = [] if row is None or is_inline else partition_statuses(definition, head)
        statuses.append(
            SubscriptionStatus(
                name=definition.name,
                kind=definition.kind,
                status=row.status if row else "new",
                position=min((p.position for p in partitions), default=None),
                lag_events=max((p.lag_events for p in partitions), default=None),
                lag_seconds=max((p.lag_seconds for p in partitions), default=None),
                owner=None if is_inline else _owners_of(definition, partitions),
                parked=parked.count(),
                needs_rebuild=row is not None and needs_rebuild(definition, row),
                is_rebuildable=projection is not None and projection.is_rebuildable,
                error=row.error if row else "",
                rebuild=rebuilds.get(definition.name),
                partition_by=definition.partition_by,
                partitions=partitions,
            )
        )
    return statuses


def partition_statuses(definition: SubscriptionDefinition, head: int) -> list[PartitionStatus]:
    """The partitions of a subscription by slices; none for one that has no row yet."""
    rows = Partition.objects.using(definition.using).filter(subscription=definition.name)
    found = []
    for row in rows.order_by("first_slice"):
        slices = SliceRange(row.first_slice, row.end_slice)
        found.append(
            PartitionStatus(
                first_slice=slices.first,
                end_slice=slices.end,
                position=row.position,
                lag_events=max(0, head - row.position),
                lag_seconds=age_of_next(definition, row.position, slices),
                owner=_owner_of(definition, slices),
            )
        )
    return found


def age_of_next(
    definition: SubscriptionDefinition, position: int, slices: SliceRange = WHOLE
) -> float:
    """Seconds since the first event was recorded that is wanted and not applied; 0 without one."""
    store = definition.store
    rows = store.driver.read_log(
        after=position, until=_NO_END, limit=1, filter=definition.wanted(slices)
    )
    row = next(iter(rows), None)
    if row is None:
        return 0.0
    return max(0.0, (database_now(store.using) - row.recorded_at).total_seconds())


def _owner_of(definition: SubscriptionDefinition, slices: SliceRange) -> str | None:
    leases = Lease.objects.using(definition.using).filter(expires_at__gt=Now())
    name = lease_name(definition.name, slices)
    return leases.filter(name=name).values_list("owner", flat=True).first() or None


def _owners_of(
    definition: SubscriptionDefinition, partitions: Sequence[PartitionStatus]
) -> str | None:
    if not partitions:
        return _owner_of(definition, WHOLE)
    return ", ".join(sorted({p.owner for p in partitions if p.owner})) or None


def _latest_rebuilds(store: EventStore) -> dict[str, RebuildStatus]:
    rows = Rebuild.objects.using(store.using)
    latest = rows.values("projection").annotate(latest=Max("id")).order_by().values("latest")
    return {
        run.projection: RebuildStatus(
            run.pk,
            run.status,
            first_line(run.error),
            progress_of(run).text() if run.status in OPEN else "",
        )
        for run in rows.filter(pk__in=latest)
    }


def first_line(error: str) -> str:
    """What a list shows of an error."""
    return error.strip().partition("\n")[0]


def overview(store: EventStore | None = None) -> dict[str, Any]:
    """Settled head and who holds it back, subscriptions, queue, outbox, dead letters, as plain values."""
    store = store or event_store()
    inbox = InboxMessage.objects.using(store.using)
    outbox = OutboxMessage.objects.using(store.using).filter(published_at__isnull=True)
    waiting = inbox.filter(status__in=("stored", "running", "retrying"))
    head = store.head()
    return {
        "head": head,
        # Who has drawn positions and not committed: what comes behind them is not settled.
        "held_back_by": store.driver.tail(after=head).explain(),
        "subscriptions": [asdict(status) for status in _statuses_at(store, head)],
        "inbox": dict(_count_by_status(waiting)),
        "outbox": outbox.aggregate(unsent=Count("id"), oldest=Min("occurred_at")),
        "dead_letters": DeadLetter.objects.using(store.using).count(),
        "rebuilds": dict(_count_by_status(Rebuild.objects.using(store.using))),
        "unknown_types": unknown_types(store),
    }


def _count_by_status(rows: Any) -> Any:
    return rows.values_list("status").annotate(n=Count("pk")).order_by().values_list("status", "n")


def rates_between(
    before: dict[str, Any], after: dict[str, Any], seconds: float
) -> dict[str, tuple[float, float | None]]:
    """By subscription, from two overviews: positions a second, and the seconds until it has caught up.

    The second is None where it does not come nearer.
    """
    earlier = {item["name"]: item["position"] for item in before["subscriptions"]}
    growth = (after["head"] - before["head"]) / seconds
    found = {}
    for item in after["subscriptions"]:
        was, now = earlier.get(item["name"]), item["position"]
        if was is None or now is None:
            continue
        rate = (now - was) / seconds
        lag, nearing = item["lag_events"], rate - growth
        found[item["name"]] = (rate, 0.0 if lag == 0 else lag / nearing if nearing > 0 else None)
    return found
