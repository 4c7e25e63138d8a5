"""Processes of these tests: `python -m tests.projections.cached_processes ROLE ARGUMENTS…`."""

from __future__ import annotations

import json
import os
import random
import sys
import time
import warnings

import django


def write_randomly(number: str, seconds: str) -> None:
    """Transactions that keep their positions for a while, and some that give them up."""
    from django.db import transaction

    chance = random.Random(number)
    deadline = time.monotonic() + float(seconds)
    while time.monotonic() < deadline:
        with transaction.atomic():
            for _ in range(chance.randint(1, 3)):
                append_note(f"{number}-{chance.randint(1, 5)}")
                time.sleep(chance.choice([0, 0, 0.001, 0.02]))
            transaction.set_rollback(chance.random() < 0.2)
        time.sleep(chance.choice([0, 0.005]))


def read_at(position: str) -> None:
    """Prints what the cache holds once it has come so far; ends without saying goodbye to its thread."""
    from tests.shop.projections import NoteCounts

    NoteCounts.wait_until(int(position), timeout_seconds=120)
    print(json.dumps(dict(NoteCounts.items())))


def fork_after_reading() -> None:
    """What parent and child see of events that come after the fork; each follows by itself."""
    from django.db import connections

    from tests.shop.projections import NoteCounts

    append_note("before")
    NoteCounts.start()
    connections.close_all()
    with warnings.catch_warnings():
        # A process of several threads warns from Python 3.12 on; that it is one is what the test is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    who = "parent" if child else "child"
    append_note(who)
    if not child:  # its first read brings what was kept up to date, and waits for nothing else
        assert NoteCounts.get("child") == 1
    NoteCounts.wait_until(last_position(), timeout_seconds=60)
    assert NoteCounts.get_many(["before", who]) == {"before": 1, who: 1}
    if not child:
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    append_note("after")
    NoteCounts.wait_until(last_position(), timeout_seconds=60)
    print(json.dumps(dict(NoteCounts.items())))


def append_note(order_id: str) -> None:
    from tests.shop.messages import OrderNoted
    from whizbang.store.event_store import event_store

    event_store().append(f"shop.Order-{order_id}", [OrderNoted(order_id=order_id, text="a")])


def last_position() -> int:
    from whizbang.store.event_store import event_store

    return event_store().head()


ROLES = {"write": write_randomly, "read": read_at, "fork": fork_after_reading}

if __name__ == "__main__":
    django.setup()
    ROLES[sys.argv[1]](*sys.argv[2:])  # type: ignore[operator]
