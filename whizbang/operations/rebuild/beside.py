"""A rebuild in a table of its own: fold, load, index, catch up, compare, publish.

Each phase is noted before it begins and may be done again, so a run that was killed, cancelled or failed goes
on with the phase that it was in.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Sum

from whizbang.drivers.shadows import Shadow
from whizbang.drivers.shadows.postgres import SwappedShadow
from whizbang.models import Rebuild
from whizbang.operations.rebuild.comparison import compare
from whizbang.operations.rebuild.errors import RebuildTakenOver
from whizbang.operations.rebuild.insisting import insist
from whizbang.operations.rebuild.shares import (
    are_open,
    fold_open_shares,
    forget_shares,
    make_shares,
    shares_of,
    wait_for_others,
)
from whizbang.operations.rebuild.standstill import standing_still
from whizbang.operations.rebuild.twin import (
    KEPT,
    NEW,
    TwinSubscription,
    begin_twin,
    take_place,
    twin_row,
)
from whizbang.operations.rebuild.watch import LEASE, Watch
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.subscriptions.catching_up import catch_up
from whizbang.subscriptions.leases import LeaseHolder
from whizbang.subscriptions.runner import StaleLease, SubscriptionRunner

logger = logging.getLogger(__name__)
Phase = Rebuild.Phase
_SOME_EVENTS = 1000  # that are left to catch up before the live projection is held still


class Beside:
    """One run, by the worker that holds the rebuild's lease."""

    def __init__(
        self,
        definition: ProjectionSubscription,
        shadow: Shadow,
        run: Rebuild,
        leases: LeaseHolder,
        watch: Watch,
    ) -> None:
        self._live, self._shadow, self._run = definition, shadow, run
        self._leases, self._watch = leases, watch
        self._using = definition.using
        self._twin = TwinSubscription(definition, NEW, shadow.table)

    def do(self) -> dict[str, Any] | None:
        """Do what is left; gives the run's last values, None where it is held to be looked at first.

        Raises what the watch raises.
        """
        if not self._can_go_on():
            self._begin()
        while are_open(self._run, using=self._using):
            if not fold_open_shares(
                self._live, self._shadow, self._run, self._leases, held=(LEASE,)
            ):
                wait_for_others(self._watch)
        self._finish_table()
        runner = SubscriptionRunner(self._twin)
        self._catch_up(runner)
        if self._run.is_held:
            self._compare()
            self._watch.note(phase=Phase.HELD, difference=self._run.difference)
            return None
        return self._publish(runner)

    def _can_go_on(self) -> bool:
        run, live = self._run, self._live
        return (
            run.phase != ""
            and run.method == self._shadow.method
            and (run.version, run.fingerprint) == (live.version, live.fingerprint)
            and shares_of(run, using=self._using).exists()
            and twin_row(live, NEW) is not None
            and self._shadow.exists()
        )

    def _begin(self) -> None:
        run, live = self._run, self._live
        insist(self._shadow.make, self._watch)
        target = live.store.head()
        with transaction.atomic(using=self._using):
            begin_twin(live, NEW, position=target)
            make_shares(run, using=self._using)
        run.method, run.target = self._shadow.method, target
        run.version, run.fingerprint = live.version, live.fingerprint
        self._watch.note(
            phase=Phase.FOLDING,
            method=run.method,
            target=target,
            version=run.version,
            fingerprint=run.fingerprint,
            difference=None,
        )

    def _finish_table(self) -> None:
        totals = shares_of(self._run, using=self._using).aggregate(
            events=Sum("events"), rows=Sum("rows")
        )
        self._run.events, self._run.rows = totals["events"], totals["rows"]
        self._watch.note(phase=Phase.INDEXING, position=self._run.target, **totals)
        insist(self._shadow.finish, self._watch)

    def _catch_up(self, runner: SubscriptionRunner) -> None:
        """Without a lock, until little is left: a live projection that is held still holds others up."""
        self._watch.note(phase=Phase.CATCHING_UP)
        runner.take_over(self._watch.epoch())
        while True:
            done = catch_up(runner, until=self._live.store.head())
            self._run.events += done
            self._watch.note(events=self._run.events, position=runner.position)
            if done < _SOME_EVENTS:
                return

    def _compare(self) -> None:
        self._watch.note(phase=Phase.COMPARING)
        self._run.difference = compare(self._live, self._twin, self._shadow, self._watch)

    def _publish(self, runner: SubscriptionRunner) -> dict[str, Any]:
        if self._run.difference is None:
            self._compare()
        self._watch.note(phase=Phase.PUBLISHING, difference=self._run.difference)
        try:
            head = insist(lambda: self._exchange(runner), self._watch)
        except StaleLease as exc:
            raise RebuildTakenOver(str(exc)) from exc
        self._tidy_up()
        return self._last_values(head)

    def _tidy_up(self) -> None:
        """Nobody waits for this: the run is done. What cannot be removed now goes with the next rebuild."""
        try:
            if isinstance(self._shadow, SwappedShadow):
                insist(self._shadow.release_kept)
            insist(self._shadow.discard)
        except DatabaseError as exc:
            logger.warning(
                "Published, but old tables are still there projection=%s error=%s",
                self._live.name,
                exc,
            )

    def _exchange(self, runner: SubscriptionRunner) -> int:
        """The short transaction after which readers see the new rows."""
        live = self._live
        # After a try that was rolled back the runner is ahead of its checkpoint.
        runner.take_over(self._watch.epoch())
        catch_up(runner, until=live.store.head())
        before = runner.position
        with standing_still(live, runner) as found:
            self._shadow.publish()
            keep_as = KEPT if self._shadow.keeps_old else None
            take_place(live, NEW, position=found.live_position, keep_as=keep_as)
            forget_shares(self._run, using=self._using)
            self._run.events += found.events
            if self._using == live.store.using:
                # Else a worker that dies now leaves a run that is taken up, and done a second time.
                self._watch.note(status=Rebuild.Status.DONE, **self._last_values(found.head))
        logger.info(
            "Rebuild published projection=%s method=%s position=%s caught_up_from=%s",
            live.name,
            self._shadow.method,
            found.head,
            before,
        )
        return found.head

    def _last_values(self, head: int) -> dict[str, Any]:
        found = self._run.difference or {}
        rows = found.get("new_rows", self._run.rows)
        return {"position": head, "events": self._run.events, "rows": rows}
