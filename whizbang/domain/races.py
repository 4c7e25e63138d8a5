"""Appending again when another writer came first."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import connections

from whizbang.drivers.stores.base import is_lost_race
from whizbang.exceptions import ConcurrencyError

T = TypeVar("T")


def try_again(append: Callable[[], T], *, using: str, attempts: int) -> T:
    """Call `append` until no other writer comes first, so many times at most.

    Only where no exact version was expected, and once inside the caller's transaction: there only the
    caller can append again.
    """
    if connections[using].in_atomic_block:
        return append()
    for attempt in range(1, attempts):
        try:
            return append()
        except ConcurrencyError as exc:
            if not is_lost_race(exc):
                raise
        time.sleep(random.uniform(0, 0.002 * attempt))
    return append()
