"""Locks that others keep for a while."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from whizbang.drivers.errors import is_conflict
from whizbang.operations.rebuild.watch import Watch

logger = logging.getLogger(__name__)
T = TypeVar("T")
_INSIST_SECONDS = 60.0


def insist(action: Callable[[], T], watch: Watch | None = None) -> T:
    """Do it again while others hold the locks that it needs, or win a deadlock; for a minute at most."""
    deadline = time.monotonic() + _INSIST_SECONDS
    while True:
        try:
            return action()
        except Exception as exc:
            if not is_conflict(exc) or time.monotonic() > deadline:
                raise
            logger.info("Rebuild waits for a lock error=%s", exc)
        if watch is not None:
            watch.check()
        time.sleep(random.uniform(0.02, 0.2))
