"""A worker's fair share of a fixed number of leases, as workers come and go."""

from __future__ import annotations

import time

from whizbang.conf import settings
from whizbang.subscriptions.crew import Crew, read_owners
from whizbang.subscriptions.leases import LeaseHolder
from whizbang.subscriptions.sharing import Slot, to_give_back, to_take


class SharedLeases:
    """`count` leases of one name, numbered from 0, that workers share as they do partitions (see sharing.py)."""

    def __init__(self, owner: str, name: str, count: int, *, using: str) -> None:
        self._using = using
        self._leases = LeaseHolder(owner, using=using)
        self._crew = Crew(self._leases, [name], using=using)
        self._numbers = {f"{name}/{number}": number for number in range(count)}
        self._slots = [Slot(lease, name) for lease in self._numbers]
        self._free_since: dict[str, float] = {}
        self._look_at = 0.0

    def numbers(self) -> frozenset[int]:
        """Those that are this worker's now; looks who else is there about once a second."""
        if time.monotonic() >= self._look_at:
            self._share()
            self._look_at = time.monotonic() + settings.IDLE_POLL_SECONDS
        return frozenset(
            number
            for lease, number in self._numbers.items()
            if self._leases.holds(lease) and self._leases.epoch_of(lease) is not None
        )

    def holds_any(self) -> bool:
        """As far as this worker knows, without asking."""
        return any(self._leases.holds(lease) for lease in self._numbers)

    def stop(self) -> None:
        """From now on hold nothing; safe to call from another thread. close() is still to be called."""
        self._leases.stop()

    def close(self) -> None:
        """Give all back, so that others need not wait for the expiry."""
        self._crew.sign_off()
        self._leases.release_all()

    def _share(self) -> None:
        self._crew.sign_on()
        owners = read_owners(using=self._using)
        crew, me = self._crew.members(owners), self._leases.owner
        given = {slot.lease for slot in to_give_back(me, self._slots, owners, crew)}
        for lease in given:
            self._leases.release(lease)
        # What was given back is another's to take: it is seen as free the next time.
        wanted = {slot.lease for slot in to_take(me, self._slots, owners, crew)}
        # Also those that are its own by their rows: with a lost connection it could not give them back.
        own = {lease for lease in self._numbers if owners.get(lease) == me} - given
        for lease in sorted(wanted | own | self._left_lying(owners)):
            self._leases.epoch_of(lease)

    def _left_lying(self, owners: dict[str, str]) -> set[str]:
        """Those that nobody takes: whose turn it is may be dead, or busy for long."""
        now, before = time.monotonic(), self._free_since
        self._free_since = {
            lease: before.get(lease, now) for lease in self._numbers if lease not in owners
        }
        return {
            lease
            for lease, since in self._free_since.items()
            if now - since > settings.LEASE_SECONDS / 3
        }
