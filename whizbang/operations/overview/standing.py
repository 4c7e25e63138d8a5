"""Where subscriptions stand, read together: a few statements for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.db.models.functions import Now

from whizbang.drivers.clock import database_now
from whizbang.drivers.stores.base import NO_FILTER, LogFilter
from whizbang.models import Lease, Partition, Subscription
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.partitioning import SliceRange, lease_name
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.start import needs_rebuild

_MOST_POSITIONS = 10_000  # of the log that are searched for an event that is wanted

Age = Callable[[SubscriptionDefinition, int, SliceRange], float]


@dataclass(frozen=True, slots=True)
class PartitionStanding:
    """One partition; `lag_seconds` is None where nobody asked for it."""

    slices: SliceRange
    position: int
    lag_events: int
    lag_seconds: float | None
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One subscription; of several partitions what stands furthest behind. Unknown is None."""

    name: str
    kind: str
    status: str  # "new" where it has no row yet
    error: str
    needs_rebuild: bool
    partitions: list[PartitionStanding] = field(default_factory=list)

    @property
    def position(self) -> int | None:
        return min((part.position for part in self.partitions), default=None)

    @property
    def lag_events(self) -> int | None:
        return max((part.lag_events for part in self.partitions), default=None)

    @property
    def lag_seconds(self) -> float | None:
        found = [part.lag_seconds for part in self.partitions if part.lag_seconds is not None]
        return max(found, default=None)

    @property
    def owners(self) -> list[str]:
        return sorted({part.owner for part in self.partitions if part.owner})


def read_standings(store: EventStore, head: int, *, age: Age | None = None) -> list[Standing]:
    """All that this service runs, inline projections left out, with three statements a database.

    `age` is asked for each partition that lags; see `exact_age` and `QuickAge`.
    """
    found: list[Standing] = []
    for using, definitions in _by_database(all_definitions(store)).items():
        names = [definition.name for definition in definitions]
        rows = Subscription.objects.using(using).in_bulk(names)
        parts: dict[str, list[Partition]] = {}
        partitions = Partition.objects.using(using).filter(subscription__in=names)
        for part in partitions.order_by("subscription", "first_slice"):
            parts.setdefault(part.subscription, []).append(part)
        leases = Lease.objects.using(using).filter(expires_at__gt=Now()).exclude(owner="")
        owners = dict(leases.values_list("name", "owner"))
        for definition in definitions:
            row = rows.get(definition.name)
            own = [] if row is None else parts.get(definition.name, [])
            found.append(
                Standing(
                    name=definition.name,
                    kind=definition.kind,
                    status=row.status if row else "new",
                    error=row.error if row else "",
                    needs_rebuild=row is not None and needs_rebuild(definition, row),
                    partitions=[_stand(definition, part, head, owners, age) for part in own],
                )
            )
    return found


def _by_database(
    definitions: Iterable[SubscriptionDefinition],
) -> dict[str, list[SubscriptionDefinition]]:
    found: dict[str, list[SubscriptionDefinition]] = {}
    for definition in definitions:
        if definition.kind != "inline":
            found.setdefault(definition.using, []).append(definition)
    return found


def _stand(
    definition: SubscriptionDefinition,
    part: Partition,
    head: int,
    owners: dict[str, str],
    age: Age | None,
) -> PartitionStanding:
    slices = SliceRange(part.first_slice, part.end_slice)
    lag = max(0, head - part.position)
    seconds = None
    if age is not None:
        seconds = age(definition, part.position, slices) if lag else 0.0
    owner = owners.get(lease_name(definition.name, slices), "")
    return PartitionStanding(slices, part.position, lag, seconds, owner)


def exact_age(definition: SubscriptionDefinition, position: int, slices: SliceRange) -> float:
    """Seconds since the first event was recorded that is wanted and not applied; 0 without one.

    Where the next ten thousand positions have none, the first event behind them counts: whether it is wanted
    is not known before it is read, and a search through millions would take too long.
    """
    store, end = definition.store, position + _MOST_POSITIONS
    found = _age_behind(store, position, until=end, filter=definition.wanted(slices))
    if found is not None:
        return found
    return _age_behind(store, end) or 0.0


class QuickAge:
    """Seconds since the first event was recorded that is not looked at yet, wanted or not: one statement for all
    that stand at the same position."""

    def __init__(self) -> None:
        self._known: dict[int, float] = {}

    def __call__(
        self, definition: SubscriptionDefinition, position: int, slices: SliceRange
    ) -> float:
        if position not in self._known:
            self._known[position] = _age_behind(definition.store, position) or 0.0
        return self._known[position]


def _age_behind(
    store: EventStore, position: int, *, until: int = 2**63 - 1, filter: LogFilter = NO_FILTER
) -> float | None:
    rows = store.driver.read_log(after=position, until=until, limit=1, filter=filter)
    row = next(iter(rows), None)
    if row is None:
        return None
    return max(0.0, (database_now(store.using) - row.recorded_at).total_seconds())
