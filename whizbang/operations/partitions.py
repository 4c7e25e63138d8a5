"""Partitions of a subscription: how it is split, and splitting or merging it while events flow."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from django.db import transaction

from whizbang.conf import settings
from whizbang.exceptions import WaitTimeout, WhizbangError
from whizbang.models import Partition
from whizbang.operations.status import PartitionStatus, partition_statuses
from whizbang.operations.subscriptions import find_subscription
from whizbang.store.event_store import event_store
from whizbang.subscriptions.checkpoint import lock_partitions
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.partitioning import even_ranges
from whizbang.subscriptions.runner import split_problem
from whizbang.subscriptions.splitting import drop_old_leases, merge, split
from whizbang.subscriptions.start import ensure_rows

_MOST_BATCHES_APART = 10  # that a merge applies itself, with both partitions locked
_PAUSE_SECONDS = 0.05


def list_partitions(name: str) -> list[PartitionStatus]:
    """Where each partition stands and who runs it. Raises WhizbangError for an unknown subscription."""
    return partition_statuses(find_subscription(event_store(), name), event_store().head())


def split_partition(name: str, first_slice: int | None = None) -> list[PartitionStatus]:
    """Split the partition that begins at a slice in its middle; the widest one unless it is given.

    Both go on from where it stands; workers share them within seconds. Gives the partitions there are
    then. Raises WhizbangError where there is none such, or nothing to split by.
    """
    definition = refuse_unsplittable(name)
    with transaction.atomic(using=definition.using):
        rows = _lock(definition)
        row = _find(rows, first_slice, name)
        if row.end_slice - row.first_slice < 2:
            raise WhizbangError(f"{row} has one slice only and cannot be split.")
        split(definition, row, (row.first_slice + row.end_slice) // 2)
        drop_old_leases(definition)
    return list_partitions(name)


def merge_partitions(name: str, *, timeout_seconds: float = 60.0) -> list[PartitionStatus]:
    """Make all partitions one; see `set_partition_count`."""
    return set_partition_count(name, 1, timeout_seconds=timeout_seconds)


def set_partition_count(
    name: str, count: int, *, timeout_seconds: float = 60.0
) -> list[PartitionStatus]:
    """Split and merge until there are so many partitions of about one size; gives them.

    Those that become one first come to stand at one position: a merge waits until workers have brought
    the one that is behind near the other, and applies the rest itself. Nothing is applied twice. Raises
    WhizbangError for what cannot be split, ValueError for a count that is not 1 to 1024, and `WaitTimeout`
    while partitions stand too far apart; what was split until then stays.
    """
    bounds = {slices.first for slices in even_ranges(count)}
    definition = refuse_unsplittable(name)
    with transaction.atomic(using=definition.using):
        _split_at(definition, bounds)
    deadline = time.monotonic() + timeout_seconds
    while not _merge_except(definition, bounds):
        if time.monotonic() >= deadline:
            raise WaitTimeout(_story_of(definition))
        time.sleep(_PAUSE_SECONDS)
    return list_partitions(name)


def refuse_unsplittable(name: str) -> SubscriptionDefinition:
    """Raise WhizbangError for what has one partition by its code; else what it is that can have more."""
    definition = find_subscription(event_store(), name)
    if definition.partition_by is None:
        raise WhizbangError(
            f'{name!r} has one partition: its code does not say partition_by = "stream" or "key".'
        )
    ensure_rows([definition])
    return definition


def _lock(definition: SubscriptionDefinition) -> list[Partition]:
    rows = lock_partitions(definition)
    for row in rows:
        if problem := split_problem(definition, row):
            raise WhizbangError(problem)
    return rows


def _find(rows: Sequence[Partition], first_slice: int | None, name: str) -> Partition:
    if first_slice is None:
        return max(rows, key=lambda row: row.end_slice - row.first_slice)
    for row in rows:
        if row.first_slice == first_slice:
            return row
    begins = ", ".join(str(row.first_slice) for row in rows)
    raise WhizbangError(f"No partition of {name!r} begins at {first_slice}: they do at {begins}.")


def _split_at(definition: SubscriptionDefinition, bounds: Collection[int]) -> None:
    rows = _lock(definition)
    for at in sorted(bounds):
        row = next((r for r in rows if r.first_slice < at < r.end_slice), None)
        if row is not None:
            rows.append(split(definition, row, at))
    drop_old_leases(definition)


def _merge_except(definition: SubscriptionDefinition, bounds: Collection[int]) -> bool:
    """Merge what does not begin at one of these slices into what is before it; False: not all yet."""
    is_done = False
    while not is_done:
        with transaction.atomic(using=definition.using):
            rows = _lock(definition)
            surplus = [row for row in rows if row.first_slice not in bounds]
            is_done = not surplus
            if surplus:
                first = rows[rows.index(surplus[0]) - 1]
                if _gap(definition, first, surplus[0]) > _MOST_BATCHES_APART * settings.BATCH_SIZE:
                    return False
                merge(definition, first, surplus[0])
            drop_old_leases(definition)
    return True


def _gap(definition: SubscriptionDefinition, first: Partition, second: Partition) -> int:
    """How many events the one behind may have to apply, counted no further than it matters."""
    low, high = sorted((first.position, second.position))
    limit = _MOST_BATCHES_APART * settings.BATCH_SIZE + 1
    driver = definition.store.driver
    rows = driver.read_log(after=low, until=high, limit=limit, filter=definition.wanted())
    return sum(1 for _ in rows)


def _story_of(definition: SubscriptionDefinition) -> str:
    rows = Partition.objects.using(definition.using).filter(subscription=definition.name)
    stands = ", ".join(f"{row.first_slice}-{row.end_slice} at {row.position}" for row in rows)
    return (
        f"Partitions of {definition.name!r} stand too far apart to be merged: {stands}. Is a worker "
        "running, is the subscription paused? Try again when they are nearer."
    )
