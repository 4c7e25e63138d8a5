"""Wakes workers after a commit. Losing a nudge costs latency only: polling is the truth."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, partial

from django.db import connections

from whizbang.drivers.wakeups import is_quiet, wake_others

_wake = threading.Event()


def nudge_after_commit(using: str) -> None:
    """Wake workers once the caller's transaction has committed; now, where there is none."""
    if _wake.is_set() and is_quiet(using):
        return  # for every append of a busy process: all have been told, and look often
    connection, callback = connections[using], _callback(using)
    if connection.in_atomic_block:
        waiting = connection.run_on_commit
        if not (waiting and waiting[-1][1] is callback):  # one is enough for all of a transaction
            connection.on_commit(callback, robust=True)
    elif connection.get_autocommit():
        callback()


@cache
def _callback(using: str) -> Callable[[], None]:
    return partial(nudge, using)


def nudge(using: str) -> None:
    """Wake this process's worker, start it where WORKER is "in_process", and wake other processes' workers."""
    wake()
    for start in starters:
        start()
    wake_others(using)


def wake() -> None:
    """Let this process's worker look at once, and who else follows the log here."""
    _wake.set()
    for waker in list(wakers):
        waker()


def wait_for_nudge(timeout_seconds: float) -> None:
    if _wake.wait(timeout_seconds):
        _wake.clear()


starters: list[Callable[[], None]] = []
wakers: list[Callable[[], None]] = []
