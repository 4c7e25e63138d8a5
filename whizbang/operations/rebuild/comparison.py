"""What a rebuild would change, looked at before it does."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.db.models import Min

from whizbang.drivers.sessions import see_one_moment
from whizbang.drivers.shadows import Shadow
from whizbang.models import Partition
from whizbang.operations.rebuild.twin import NEW, TwinSubscription, twin_position
from whizbang.operations.rebuild.watch import Watch
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.subscriptions.catching_up import NO_END, catch_up
from whizbang.subscriptions.runner import SubscriptionRunner

MOST_SAMPLES = 20
_PATIENCE_SECONDS = 2.0


def compare(
    live: ProjectionSubscription, twin: TwinSubscription, shadow: Shadow, watch: Watch
) -> dict[str, Any]:
    """How the new rows differ from the live ones, both at one position, as plain values.

    `live_position` and `new_position` tell where each stood; they differ only where the live projection
    stands still or lags behind the new rows.
    """
    _wait_for_live(live, watch)
    runner = SubscriptionRunner(twin)
    with transaction.atomic(using=live.using):
        see_one_moment(live.using)
        runner.take_over(watch.epoch())
        standing = _position_of(live)
        # Here the log is read as far as this transaction sees it, as are the rows that inline delivery wrote.
        catch_up(runner, until=NO_END if live.kind == "inline" else standing)
        found = asdict(shadow.compare(most_samples=MOST_SAMPLES))
        position = runner.position
        # The new rows go on from where they were: only the look was at this moment.
        transaction.set_rollback(True, using=live.using)
    live_position = position if live.kind == "inline" else standing
    return {**found, "live_position": live_position, "new_position": position}


def _wait_for_live(live: ProjectionSubscription, watch: Watch) -> None:
    """The live rows may be a moment behind those that were folded up to the head."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    wanted = twin_position(live, NEW)
    while live.kind != "inline" and _position_of(live) < wanted and time.monotonic() < deadline:
        watch.check()
        time.sleep(0.02)


def _position_of(live: ProjectionSubscription) -> int:
    """Of the partition that is furthest behind."""
    rows = Partition.objects.using(live.using).filter(subscription=live.name)
    return int(rows.aggregate(lowest=Min("position"))["lowest"])
