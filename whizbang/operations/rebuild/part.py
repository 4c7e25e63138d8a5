"""Who does rebuilds: a worker's part, or the process at hand."""

from __future__ import annotations

import logging
from typing import Any

from whizbang.exceptions import WhizbangError
from whizbang.models import Rebuild
from whizbang.operations.rebuild.errors import RebuildFailed, RebuildTakenOver
from whizbang.operations.rebuild.requests import OPEN, find_projection, find_shadow
from whizbang.operations.rebuild.running import rebuild
from whizbang.operations.rebuild.shares import fold_open_shares
from whizbang.operations.rebuild.watch import LEASE
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.leases import LeaseHolder, make_owner

logger = logging.getLogger(__name__)
Status = Rebuild.Status


class RebuildPart:
    """Does one requested rebuild at a time, under a lease; or a share of another worker's."""

    def __init__(self, store: EventStore, owner: str) -> None:
        self.store = store
        self._leases = LeaseHolder(owner, using=store.using)

    def run_once(self) -> int:
        run = self._open_runs().first()
        if run is None:
            return 0
        try:
            if self._leases.epoch_of(LEASE) is None:
                return self._help(run)
            rebuild(self.store, run, self._leases)
        except RebuildFailed as exc:
            logger.error(
                "Rebuild failed id=%s projection=%s", run.pk, run.projection, exc_info=exc.error
            )
        except RebuildTakenOver as exc:
            logger.warning("Rebuild left to another worker reason=%s", exc)
        finally:
            self._leases.release_all()
        return 1

    @property
    def is_hindered(self) -> bool:
        """A rebuild that cannot go on fails."""
        return False

    def stop(self) -> None:
        """End soon; called from another thread."""
        self._leases.stop()

    def close(self) -> None:
        self._leases.release_all()

    def _help(self, run: Rebuild) -> int:
        if run.shares == 1 or run.phase != Rebuild.Phase.FOLDING:
            return 0
        definition = find_projection(self.store, run.projection)
        shadow = find_shadow(definition, run.method)
        is_alike = (run.version, run.fingerprint) == (definition.version, definition.fingerprint)
        if shadow is None or not is_alike:
            return 0
        return fold_open_shares(definition, shadow, run, self._leases)

    def _open_runs(self) -> Any:
        rows = Rebuild.objects.using(self.store.using).filter(status__in=OPEN)
        return rows.exclude(phase=Rebuild.Phase.HELD, is_held=True).order_by("id")


def rebuild_here(run: Rebuild) -> Rebuild:
    """Do a requested rebuild in this process, as a worker would.

    Where a worker was quicker it gives what that one did. Raises WhizbangError while a worker is at a
    rebuild, `RebuildFailed` when it fails here.
    """
    store = event_store()
    leases = LeaseHolder(make_owner(), using=store.using)
    if leases.epoch_of(LEASE) is None:
        raise WhizbangError(
            f"A worker does a rebuild just now: rebuild {run.pk} of {run.projection} is its next."
        )
    try:
        run.refresh_from_db(using=store.using)
        if run.status == Status.FAILED:
            raise WhizbangError(f"A worker was quicker, and failed: {run.error}")
        return rebuild(store, run, leases) if run.status in OPEN else run
    finally:
        leases.release_all()
