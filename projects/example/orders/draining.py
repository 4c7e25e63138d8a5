"""Lets this process do the workers' part, for commands that wait for the figures."""

from __future__ import annotations

import time

from whizbang.operations.status import overview
from whizbang.operations.worker import Worker

_PAUSE_SECONDS = 0.1


def drain() -> None:
    """Handle all that is stored and bring every projection to the head, beside other workers if any."""
    while True:
        Worker().run(until_idle=True)
        if is_settled():
            return
        time.sleep(_PAUSE_SECONDS)


def is_settled() -> bool:
    """Nothing waits, and every subscription that is not paused stands at the head."""
    state = overview()
    behind = [s for s in state["subscriptions"] if s["status"] == "active" and s["lag_events"]]
    return not state["inbox"] and not behind
