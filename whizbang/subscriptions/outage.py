"""Waiting for a product that is down, a little longer each time."""

from __future__ import annotations

import random
import time

_FIRST_SECONDS = 0.1
_LONGEST_SECONDS = 30.0


class Outage:
    """Says when to try again; with jitter, so that not all who wait come back at once."""

    def __init__(self) -> None:
        self.is_on = False
        self._next_at = 0.0
        self._pause_seconds = _FIRST_SECONDS

    def may_try(self) -> bool:
        return time.monotonic() >= self._next_at

    def note_failure(self) -> bool:
        """A try has failed; gives True for the first one of an outage."""
        is_first, self.is_on = not self.is_on, True
        self._next_at = time.monotonic() + self._pause_seconds * random.uniform(0.5, 1.0)
        self._pause_seconds = min(self._pause_seconds * 2, _LONGEST_SECONDS)
        return is_first

    def note_success(self) -> bool:
        """A try has succeeded; gives True where that ends an outage."""
        was_on = self.is_on
        self.is_on, self._next_at, self._pause_seconds = False, 0.0, _FIRST_SECONDS
        return was_on
