"""A worker's fair share of leases: which to take, which to give back, as workers come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from whizbang.conf import settings
from whizbang.subscriptions.crew import Crew, read_owners
from whizbang.subscriptions.leases import LeaseHolder
from whizbang.subscriptions.sharing import Slot, to_give_back, to_take


class FairShare:
    """Keeps one worker's share of whatever leases there are; who else is there, its crew says."""

    def __init__(self, leases: LeaseHolder, crew: Crew, *, using: str) -> None:
        self._leases, self._crew, self._using = leases, crew, using
        self._free_since: dict[str, float] = {}

    def share(self, slots: Sequence[Slot], let_go: Callable[[Slot], None]) -> None:
        """Take what is this worker's, and let go of what others are to have; to be called again and again."""
        self._crew.sign_on()
        owners = read_owners(using=self._using)
        crew, me = self._crew.members(owners), self._leases.owner
        self._take_up(slot.lease for slot in slots if owners.get(slot.lease) == me)
        for slot in to_give_back(me, slots, owners, crew):
            let_go(slot)
        # What was given back is another's to take: it is seen as free the next time.
        wanted = {slot.lease for slot in to_take(me, slots, owners, crew)}
        for lease in sorted(wanted | self._left_lying(slots, owners)):
            self._leases.epoch_of(lease)

    def _take_up(self, own: Iterable[str]) -> None:
        """Leases that are this worker's by their rows: with a lost connection it could not give them back."""
        for lease in own:
            if not self._leases.holds(lease):
                self._leases.epoch_of(lease)

    def _left_lying(self, slots: Sequence[Slot], owners: dict[str, str]) -> set[str]:
        """Those that nobody takes: whose turn it is may be dead, or busy for long."""
        now, before = time.monotonic(), self._free_since
        free = [slot.lease for slot in slots if slot.lease not in owners]
        self._free_since = {lease: before.get(lease, now) for lease in free}
        return {
            lease
            for lease, since in self._free_since.items()
            if now - since > settings.LEASE_SECONDS / 3
        }
