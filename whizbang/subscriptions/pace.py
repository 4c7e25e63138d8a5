"""How much a partition that lags takes at a time."""

from __future__ import annotations

from whizbang.conf import settings

MOST_BATCHES = 16
_TARGET_SECONDS = 0.5  # others of the same worker wait as long


class Pace:
    """More and more while it goes quickly, so that many events share what each transaction costs."""

    def __init__(self) -> None:
        self._batches = 1

    @property
    def events(self) -> int:
        """How many to take; BATCH_SIZE, or a multiple of it."""
        return int(settings.BATCH_SIZE) * self._batches

    def note(self, events: int, seconds: float) -> None:
        """So many were applied in so long a time."""
        # A worker that is frozen in between must not hold its successor up for long.
        target = min(_TARGET_SECONDS, settings.LEASE_SECONDS / 8)
        if seconds > target:
            self._batches = max(1, self._batches // 2)
        elif events >= self.events and seconds < target / 2:
            self._batches = min(MOST_BATCHES, self._batches * 2)

    def begin_anew(self) -> bool:
        """Take small batches again; was it at larger ones?"""
        was_larger, self._batches = self._batches > 1, 1
        return was_larger
