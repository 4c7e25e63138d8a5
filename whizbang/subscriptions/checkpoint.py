"""The checkpoints of a subscription, as others than its runners handle them.

Everything here runs in the caller's transaction on `definition.using`; the rows must exist (see
ensure_rows()).
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import F

from whizbang.models import Partition, Subscription
from whizbang.subscriptions.catching_up import catch_up
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.identity import store_identity
from whizbang.subscriptions.outside import OutsideDefinition
from whizbang.subscriptions.parking import Place, park
from whizbang.subscriptions.partitioning import BY_KEY, SliceRange
from whizbang.subscriptions.runner import SubscriptionRunner, split_problem


def slices_of(row: Partition) -> SliceRange:
    return SliceRange(row.first_slice, row.end_slice)


def lock_partitions(definition: SubscriptionDefinition) -> list[Partition]:
    """Keep workers from moving a subscription until the transaction ends; gives its partitions in order.

    Nobody splits or merges them meanwhile.
    """
    # First the row that they have in common: a partition that a split has just made would be missed.
    rows = Subscription.objects.using(definition.using).select_for_update()
    rows.values_list("pk").get(name=definition.name)
    partitions = Partition.objects.using(definition.using).select_for_update()
    return list(partitions.filter(subscription=definition.name).order_by("first_slice"))


def hold_still(definition: SubscriptionDefinition) -> int:
    """Keep workers from moving a subscription until the transaction ends; gives the position up to
    which it has applied the log.

    Partitions that are behind are brought up to the one that is furthest first, so that the position
    holds for all. Where they cannot be (the log or the partitioning is another one) it is the lowest.
    """
    rows = lock_partitions(definition)
    if len(rows) > 1 and _can_align(definition, rows):
        align(definition, rows)
    return min(row.position for row in rows)


def hold_writers_still(definition: SubscriptionDefinition) -> int:
    """See hold_still(); where the events' own writers apply them, nobody appends meanwhile either."""
    position = hold_still(definition)
    if definition.kind == "inline":
        definition.store.driver.hold_appends()
    return position


def _can_align(definition: SubscriptionDefinition, rows: Sequence[Partition]) -> bool:
    state = Subscription.objects.using(definition.using).get(name=definition.name)
    is_same_log = state.store_id == store_identity(definition.store).store_id
    return is_same_log and not any(split_problem(definition, row) for row in rows)


def align(definition: SubscriptionDefinition, rows: Sequence[Partition]) -> None:
    """Apply to each locked partition what it lacks, up to where the one stands that is furthest.

    What is delivered to another system cannot be applied here: there all go back to the one that is furthest
    behind, and what the others have delivered comes to those who know it already.
    """
    if isinstance(definition, OutsideDefinition):
        _go_back(definition, rows)
        return
    target = max(row.position for row in rows)
    for row in rows:
        if row.position < target:
            runner = SubscriptionRunner(definition, slices_of(row))
            runner.stand_at(row)
            catch_up(runner, until=target)
            row.position = target


def _go_back(definition: SubscriptionDefinition, rows: Sequence[Partition]) -> None:
    position = min(row.position for row in rows)
    ahead = [row for row in rows if row.position > position]
    partitions = Partition.objects.using(definition.using).filter(pk__in=[row.pk for row in ahead])
    partitions.update(position=position)
    for row in ahead:
        row.position = position


def move_all(definition: SubscriptionDefinition, position: int) -> None:
    """Let the whole subscription stand at a position: its rows are as if it had applied all up to there.

    Partitions that the code does not declare any more become one. Whoever runs one takes it up anew.
    """
    rows = lock_partitions(definition)
    partitions = Partition.objects.using(definition.using).filter(subscription=definition.name)
    if definition.partition_by is None:
        partitions.exclude(pk=rows[0].pk).delete()
        partitions.update(end_slice=1024, split_by="", position=position, epoch=F("epoch") + 1)
        return
    is_split = len(rows) > 1
    partitions.update(
        split_by=definition.partition_by if is_split else "",
        position=position,
        epoch=F("epoch") + 1,
    )


def park_everywhere(definition: SubscriptionDefinition, event: Place, error: Exception) -> None:
    """Set a stream aside in all partitions that could get something of it."""
    if definition.partition_by != BY_KEY:
        park(definition.name, event, error, using=definition.using)
        return
    for row in lock_partitions(definition):
        slices = slices_of(row)
        park(definition.name, event, error, using=definition.using, slices=slices)
