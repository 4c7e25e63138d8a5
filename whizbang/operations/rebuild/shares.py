"""Folding history into the new table, in shares that several processes may take."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from django.db import transaction

from whizbang.conf import settings
from whizbang.drivers.shadows import Shadow
from whizbang.models import Rebuild, RebuildShare
from whizbang.operations.rebuild.errors import RebuildTakenOver
from whizbang.operations.rebuild.insisting import insist
from whizbang.operations.rebuild.reading import History, Poisoned, note_poison
from whizbang.operations.rebuild.twin import NEW
from whizbang.operations.rebuild.watch import Watch
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.subscriptions.leases import LeaseHolder
from whizbang.subscriptions.parking import park
from whizbang.subscriptions.partitioning import BY_STREAM, SliceRange, even_ranges

logger = logging.getLogger(__name__)


def make_shares(run: Rebuild, *, using: str) -> None:
    """The shares of a run anew, all of them open."""
    forget_shares(run, using=using)
    RebuildShare.objects.using(using).bulk_create(
        [
            RebuildShare(run=run.pk, first_slice=part.first, end_slice=part.end)
            for part in even_ranges(run.shares)
        ]
    )


def forget_shares(run: Rebuild, *, using: str) -> None:
    shares_of(run, using=using).delete()


def shares_of(run: Rebuild, *, using: str) -> Any:
    return RebuildShare.objects.using(using).filter(run=run.pk).order_by("first_slice")


def fold_open_shares(
    definition: ProjectionSubscription,
    shadow: Shadow,
    run: Rebuild,
    leases: LeaseHolder,
    *,
    held: Sequence[str] = (),
) -> int:
    """Fold each share that is open and that nobody is at; gives how many. `held` leases are kept on."""
    done = 0
    for share in shares_of(run, using=definition.using).filter(is_done=False):
        lease = f"whizbang.rebuild/{run.pk}/{share.first_slice}"
        if leases.epoch_of(lease) is None:
            continue
        try:
            share.refresh_from_db(using=definition.using)
            if not share.is_done:
                watch = Watch(definition.store, run, leases, held=(*held, lease))
                _fold(definition, shadow, share, watch)
                done += 1
        finally:
            leases.release(lease)
    return done


def are_open(run: Rebuild, *, using: str) -> bool:
    """Is any share of a run still to be folded, or being folded?"""
    return bool(shares_of(run, using=using).filter(is_done=False).exists())


def wait_for_others(watch: Watch) -> None:
    """A moment, while others are at the shares that are left."""
    watch.check()
    time.sleep(min(0.2, settings.LEASE_SECONDS / 10))


def _fold(
    definition: ProjectionSubscription, shadow: Shadow, share: RebuildShare, watch: Watch
) -> None:
    using = definition.using
    shares = RebuildShare.objects.using(using).filter(pk=share.pk, is_done=False)
    shares.update(worker=watch.owner)

    def report(events: int, position: int) -> None:
        watch.report_share(share, using=using, events=events, position=position)

    poisoned: Poisoned = {}
    folded, history = _fold_without_poison(definition, share, watch.run.target, poisoned, report)
    counts = {"events": history.count, "rows": len(folded), "position": watch.run.target}

    def load() -> None:
        with transaction.atomic(using=using):
            # Only the first of two that have folded it writes: another may have taken a slow one's share.
            if not shares.update(is_done=True, **counts):
                raise RebuildTakenOver(f"{share} was done by another worker.")
            definition.projection.fill(folded, shadow.rows)
            for event, error in poisoned.values():
                park(definition.name + NEW, event, error, using=using)

    insist(load, watch)


def _fold_without_poison(
    definition: ProjectionSubscription,
    share: RebuildShare,
    target: int,
    poisoned: Poisoned,
    report: Any,
) -> tuple[dict[Any, Any], History]:
    """Fold again without each stream that fails; an inline projection may not leave any out."""
    while True:
        history = History(definition, poisoned, report)
        try:
            return _fold_once(definition, share, history, target), history
        except Exception as exc:
            if definition.kind == "inline" or note_poison(poisoned, exc) is None:
                raise
            logger.warning(
                "Rebuild leaves a stream out projection=%s error=%s", definition.name, exc
            )


def _fold_once(
    definition: ProjectionSubscription, share: RebuildShare, history: History, target: int
) -> dict[Any, Any]:
    projection, using = definition.projection, definition.using
    part = SliceRange(share.first_slice, share.end_slice)
    with closing(history.read(0, target, part=part)) as events:
        keys = None if part.is_whole or projection.partition_by == BY_STREAM else part
        folded: dict[Any, Any] = projection.fold_all(events, using=using, slices=keys)
    return folded
