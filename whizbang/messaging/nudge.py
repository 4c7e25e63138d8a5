"""Wakes a worker after a commit. Losing a nudge costs latency only: polling is the truth."""

from __future__ import annotations

import threading
from collections.abc import Callable

from django.db import transaction

_wake = threading.Event()


def nudge_after_commit(using: str) -> None:
    transaction.on_commit(nudge, using=using, robust=True)


def nudge() -> None:
    """Wake this process's worker, and start it where WORKER is "in_process"."""
    _wake.set()
    for start in starters:
        start()


def wait_for_nudge(timeout_seconds: float) -> None:
    if _wake.wait(timeout_seconds):
        _wake.clear()


starters: list[Callable[[], None]] = []
