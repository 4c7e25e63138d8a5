"""Cached projections in tests: brought up to date by the test's own thread, and forgotten after it."""

from __future__ import annotations

from whizbang.projections.cached import caches
from whizbang.projections.cached.by_hand import keep_by_hand


def forget_caches() -> None:
    """Empty all cached projections, and let the first read and drain() fill them from here on.

    Call it in `setUp` of unittest's classes; the pytest plugin does it by itself.
    """
    keep_by_hand(True)
    caches.reset()
