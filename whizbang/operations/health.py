"""Whether work gets done: what a load balancer or an alarm asks every few seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import DatabaseError

from whizbang.exceptions import NotReady
from whizbang.models import DeadLetter, ParkedStream, Partition, Subscription
from whizbang.operations.status import age_of_next
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.partitioning import SliceRange
from whizbang.subscriptions.registered import log_readers


@dataclass(frozen=True, slots=True)
class Health:
    """Counts alone, so that anybody may see them. `is_reachable`: the database answers, with our tables."""

    is_reachable: bool
    late: int = 0  # subscriptions whose next event is older than allowed, or that never began
    stopped: int = 0  # those that stand still with an error
    parked: int = 0  # streams that are set aside
    dead_letters: int = 0

    @property
    def is_well(self) -> bool:
        """Parked streams and dead letters wait for somebody, but nothing else waits for them."""
        return self.is_reachable and not self.late and not self.stopped


def check_health(*, max_lag_seconds: float = 60.0, store: EventStore | None = None) -> Health:
    """Look at all subscriptions of a store, with a query each for those that are behind."""
    store = store or event_store()
    try:
        return _look(store, max_lag_seconds)
    except (DatabaseError, NotReady):
        # Which error it is would tell strangers about the database; the log of queries has it.
        return Health(is_reachable=False)


def _look(store: EventStore, max_lag_seconds: float) -> Health:
    definitions = log_readers(store)
    rows = {name: row for using in _aliases(definitions) for name, row in _rows(using)}
    parts: dict[str, list[Partition]] = {}
    for using in _aliases(definitions):
        for name, part in _partitions(using):
            parts.setdefault(name, []).append(part)
    late = [
        d
        for d in definitions
        if _is_late(d, rows.get(d.name), parts.get(d.name, ()), max_lag_seconds)
    ]
    names = [definition.name for definition in definitions]
    return Health(
        is_reachable=True,
        late=len(late),
        stopped=sum(bool(rows[name].error) for name in names if name in rows),
        parked=sum(
            ParkedStream.objects.using(using).filter(subscription__in=names).count()
            for using in _aliases(definitions)
        ),
        dead_letters=DeadLetter.objects.using(store.using).count(),
    )


def _aliases(definitions: list[SubscriptionDefinition]) -> list[str]:
    return sorted({definition.using for definition in definitions})


def _rows(using: str) -> Iterator[tuple[str, Subscription]]:
    for row in Subscription.objects.using(using):
        yield row.name, row


def _partitions(using: str) -> Iterator[tuple[str, Partition]]:
    for row in Partition.objects.using(using):
        yield row.subscription, row


def _is_late(
    definition: SubscriptionDefinition,
    row: Subscription | None,
    partitions: Sequence[Partition],
    max_lag_seconds: float,
) -> bool:
    if row is None or not partitions:
        return True  # `migrate` makes the rows
    if row.status != Subscription.Status.ACTIVE:
        return False  # somebody paused it on purpose
    return any(
        age_of_next(definition, part.position, SliceRange(part.first_slice, part.end_slice))
        > max_lag_seconds
        for part in partitions
    )
