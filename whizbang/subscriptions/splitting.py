"""Splitting and merging the partitions of a subscription, while events flow.

Everything here runs in the caller's transaction on `definition.using`, on rows that lock_partitions() gave.
Epochs go up, so that who runs a partition as it was can write nothing more.
"""

from __future__ import annotations

from typing import Any

from django.db.models import F

from whizbang.models import Lease, ParkedStream, Partition
from whizbang.store.slices import SLICES
from whizbang.subscriptions.checkpoint import align, slices_of
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.partitioning import BY_KEY, lease_name


def split(definition: SubscriptionDefinition, row: Partition, at: int) -> Partition:
    """Let a partition end where another begins that stands at the same position; gives the new one."""
    assert row.first_slice < at < row.end_slice, "the cut is outside of the partition"
    by = str(definition.partition_by)
    end = row.end_slice
    _store(definition, row, end_slice=at, split_by=by, epoch=F("epoch") + 1)
    _cut_parked(definition, at)
    return Partition.objects.using(definition.using).create(
        subscription=definition.name,
        first_slice=at,
        end_slice=end,
        split_by=by,
        position=row.position,
        epoch=row.epoch,
    )


def merge(definition: SubscriptionDefinition, first: Partition, second: Partition) -> None:
    """Let a partition go on to the end of the next one, once both have applied the same."""
    assert first.end_slice == second.first_slice, "they are no neighbours"
    align(definition, [first, second])
    Partition.objects.using(definition.using).filter(pk=second.pk).delete()
    is_whole = first.first_slice == 0 and second.end_slice == SLICES
    _store(
        definition,
        first,
        end_slice=second.end_slice,
        split_by="" if is_whole else str(definition.partition_by),
        epoch=F("epoch") + 1,
    )


def cut_parked_by_partitions(definition: SubscriptionDefinition) -> None:
    """Let what was parked while there was one partition be parked for each of those that there are."""
    rows = Partition.objects.using(definition.using).filter(subscription=definition.name)
    for first in rows.exclude(first_slice=0).values_list("first_slice", flat=True):
        _cut_parked(definition, first)


def drop_old_leases(definition: SubscriptionDefinition) -> None:
    """Forget who ran partitions that are no more."""
    partitions = Partition.objects.using(definition.using).filter(subscription=definition.name)
    kept = {lease_name(definition.name, slices_of(row)) for row in partitions}
    rows = Lease.objects.using(definition.using)
    names = rows.filter(name__startswith=f"{definition.name}#").values_list("name", flat=True)
    for name in set(names) - kept:
        rows.filter(name=name).delete()


def _store(definition: SubscriptionDefinition, row: Partition, **values: Any) -> None:
    Partition.objects.using(definition.using).filter(pk=row.pk).update(**values)
    row.refresh_from_db(using=definition.using)


def _cut_parked(definition: SubscriptionDefinition, at: int) -> None:
    """A stream that is parked for keys on both sides is parked on each."""
    if definition.partition_by != BY_KEY:
        return
    rows = ParkedStream.objects.using(definition.using)
    both = rows.filter(subscription=definition.name, first_slice__lt=at, end_slice__gt=at)
    for parked in both:
        rows.filter(pk=parked.pk).update(end_slice=at)
        parked.pk, parked.first_slice = None, at
        parked.save(using=definition.using, force_insert=True)
