"""Progress that other processes see, and what they ask in return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whizbang.models import Rebuild, RebuildShare
from whizbang.operations.rebuild.errors import RebuildCancelled, RebuildTakenOver
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.leases import LeaseHolder

LEASE = "whizbang.rebuild"
Status = Rebuild.Status


class Watch:
    """Tells how far a run has come, and ends it where it was cancelled or is somebody else's now."""

    def __init__(
        self,
        store: EventStore,
        run: Rebuild,
        leases: LeaseHolder,
        *,
        held: Sequence[str] = (LEASE,),
    ) -> None:
        self._store, self.run, self._leases, self._held = store, run, leases, held

    @property
    def owner(self) -> str:
        return self._leases.owner

    def note(self, **values: Any) -> None:
        """Write to the run's row, which must still be this worker's. Raises as check() does."""
        self.check()
        self._rows().update(**values)

    def report_share(self, share: RebuildShare, *, using: str, events: int, position: int) -> None:
        """Write to a share's row. Raises as check() does."""
        rows = RebuildShare.objects.using(using).filter(pk=share.pk, is_done=False)
        rows.update(events=events, position=position)
        self.check()

    def check(self) -> None:
        """Keep the leases. Raises RebuildCancelled or RebuildTakenOver."""
        found = self._rows().values_list("status", "is_cancel_requested").first()
        if found is None or found[0] not in (Status.REQUESTED, Status.RUNNING):
            raise RebuildTakenOver(f"Rebuild {self.run.pk} is not open any more.")
        if found[1]:
            raise RebuildCancelled(f"Rebuild {self.run.pk} was cancelled.")
        for name in self._held:
            self._epoch_of(name)

    def epoch(self) -> int:
        """That of the rebuild's lease, which fences off whoever held it before."""
        return self._epoch_of(LEASE)

    def _epoch_of(self, name: str) -> int:
        epoch = self._leases.epoch_of(name)
        if epoch is None:
            raise RebuildTakenOver(f"Rebuild {self.run.pk} was taken over.")
        return epoch

    def _rows(self) -> Any:
        return Rebuild.objects.using(self._store.using).filter(pk=self.run.pk)
