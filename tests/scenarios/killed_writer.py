"""A process that kills itself at one step of a write.

`python -m tests.scenarios.killed_writer STEP MODE` handles one command in the caller's own transaction; MODE
`broken` leaves the transactions out.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import django
from django.db import connection, transaction


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killing(function: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if before:
            kill_myself()
        function(*args, **kwargs)
        kill_myself()

    return run


def arm(step: str) -> None:
    """Put the kill where the step says."""
    import whizbang

    before = step.startswith("before")
    if step.endswith("insert"):
        driver = whizbang.event_store().driver
        driver.append = killing(driver.append, before=before)  # type: ignore[method-assign]
    else:
        connection.ensure_connection()
        connection._commit = killing(connection._commit, before=before)


def write(mode: str) -> None:
    import whizbang
    from tests.shop.messages import CallElsewhere, OpenOrder
    from tests.shop.models import Heard

    with transaction.atomic() if mode == "whole" else nullcontext():
        Heard.objects.create(text="the caller's own row")
        whizbang.publish(CallElsewhere(text="out"))
        whizbang.send(OpenOrder(order_id="1", customer_id="vip"), message_id=MESSAGE_ID)


MESSAGE_ID = "0192f0c1-2345-7abc-8def-000000000001"


if __name__ == "__main__":
    django.setup()
    from django.conf import settings

    settings.WHIZBANG.update(
        {"SERVICE": "here", "OWNS": ["shop"], "SERVICES": {"there": {"OWNS": ["elsewhere"]}}}
    )
    arm(sys.argv[1])
    write(sys.argv[2])
