"""The way back: the rows that a rebuild replaced, caught up, and put in the place of the live ones."""

from __future__ import annotations

from typing import Any

from whizbang.drivers.shadows.postgres import SwappedShadow
from whizbang.models import Rebuild
from whizbang.operations.rebuild.errors import RebuildTakenOver
from whizbang.operations.rebuild.insisting import insist
from whizbang.operations.rebuild.requests import find_shadow, kept_row
from whizbang.operations.rebuild.standstill import standing_still
from whizbang.operations.rebuild.twin import KEPT, TwinSubscription, take_place
from whizbang.operations.rebuild.watch import Watch
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.subscriptions.catching_up import catch_up
from whizbang.subscriptions.runner import StaleLease, SubscriptionRunner

Phase = Rebuild.Phase


def undo(definition: ProjectionSubscription, watch: Watch) -> dict[str, Any]:
    """Catch the kept rows up and exchange them; gives the run's last values."""
    kept_row(definition)
    shadow = find_shadow(definition, "swap")
    assert isinstance(shadow, SwappedShadow)  # kept_row() has looked
    insist(shadow.prepare_kept, watch)
    runner = SubscriptionRunner(TwinSubscription(definition, KEPT, shadow.kept_table))
    watch.note(phase=Phase.CATCHING_UP, method=shadow.method)
    runner.take_over(watch.epoch())
    events = catch_up(runner, until=definition.store.head())
    watch.note(phase=Phase.PUBLISHING, events=events, position=runner.position)
    try:
        head, more = insist(lambda: _exchange(definition, shadow, runner, watch), watch)
    except StaleLease as exc:
        raise RebuildTakenOver(str(exc)) from exc
    insist(shadow.release_kept)
    return {"position": head, "events": events + more}


def _exchange(
    live: ProjectionSubscription, shadow: SwappedShadow, runner: SubscriptionRunner, watch: Watch
) -> tuple[int, int]:
    runner.take_over(watch.epoch())
    with standing_still(live, runner) as found:
        shadow.put_back()
        take_place(live, KEPT, position=found.live_position, keep_as=KEPT)
    return found.head, found.events
