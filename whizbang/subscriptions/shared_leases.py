"""A worker's fair share of a fixed number of leases, as workers come and go."""

from __future__ import annotations

import time

from whizbang.conf import settings
from whizbang.subscriptions.crew import Crew
from whizbang.subscriptions.fair_share import FairShare
from whizbang.subscriptions.leases import LeaseHolder
from whizbang.subscriptions.sharing import Slot


class SharedLeases:
    """`count` leases of one name, numbered from 0, that workers share as they do partitions (see sharing.py)."""

    def __init__(self, owner: str, name: str, count: int, *, using: str) -> None:
        self._leases = LeaseHolder(owner, using=using)
        self._crew = Crew(self._leases, [name], using=using)
        self._numbers = {f"{name}/{number}": number for number in range(count)}
        self._slots = [Slot(lease, name) for lease in self._numbers]
        self._fair = FairShare(self._leases, self._crew, using=using)
        self._look_at = 0.0

    def numbers(self) -> frozenset[int]:
        """Those that are this worker's now; looks who else is there about once a second."""
        if time.monotonic() >= self._look_at:
            self._fair.share(self._slots, lambda slot: self._leases.release(slot.lease))
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
