"""Partitions: how many parts a subscription has."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.models import Partition
from whizbang.operations.actions.action import By, Done, Fact
from whizbang.operations.actions.subscriptions import SubscriptionAction
from whizbang.operations.partitions import (
    refuse_unsplittable,
    set_partition_count,
    split_partition,
)
from whizbang.operations.subscriptions import find_subscription
from whizbang.store.event_store import event_store
from whizbang.subscriptions.partitioning import even_ranges


class PartitionAction(SubscriptionAction, frozen=True, kw_only=True):
    """Base of what is done to the partitions of a subscription."""

    permission = "whizbang.partition_subscription"

    def state(self) -> dict[str, str]:
        return {"partitions": ", ".join(_ranges_of(self.subscription))}

    def check(self) -> None:
        refuse_unsplittable(self.subscription)


class SplitPartition(PartitionAction, frozen=True, kw_only=True):
    name = "split"
    label = _("Split a partition")

    first_slice: int | None = None  # the widest one unless it is given

    def facts(self) -> list[Fact]:
        return [
            _now_fact(self.subscription),
            Fact(
                translate("what happens"),
                translate("It is cut in its middle; workers share both halves within seconds."),
            ),
        ]

    def run(self, by: By) -> Done:
        split_partition(self.subscription, self.first_slice)
        return Done(_told(self.subscription))


class SetPartitions(PartitionAction, frozen=True, kw_only=True):
    name = "partitions"
    label = _("Set the number of partitions")
    is_long = True  # a merge waits until both stand at one position

    count: int
    timeout_seconds: float = 60.0

    def check(self) -> None:
        super().check()
        try:
            even_ranges(self.count)
        except ValueError as exc:
            raise WhizbangError(str(exc)) from exc

    def facts(self) -> list[Fact]:
        return [
            _now_fact(self.subscription),
            Fact(translate("afterwards"), f"{self.count:,}"),
            Fact(
                translate("what happens"),
                translate(
                    "A split takes effect within seconds. A merge waits until workers have brought the "
                    "one that is behind near the other, for %s at most."
                )
                % f"{self.timeout_seconds:g} s",
            ),
        ]

    def run(self, by: By) -> Done:
        set_partition_count(self.subscription, self.count, timeout_seconds=self.timeout_seconds)
        return Done(_told(self.subscription))


def _ranges_of(subscription: str) -> list[str]:
    definition = find_subscription(event_store(), subscription)
    rows = Partition.objects.using(definition.using).filter(subscription=subscription)
    return [f"{row.first_slice}-{row.end_slice}" for row in rows.order_by("first_slice")]


def _now_fact(subscription: str) -> Fact:
    return Fact(translate("partitions now"), _shortened(_ranges_of(subscription)))


def _told(subscription: str) -> str:
    return f"Partitions of {subscription}: {_shortened(_ranges_of(subscription))}."


def _shortened(ranges: Sequence[str]) -> str:
    more = ", …" if len(ranges) > 16 else ""
    return f"{len(ranges)} ({', '.join(ranges[:16])}{more})"
