"""Processes that scenarios start: `python -m tests.scenarios.processes ROLE ARGUMENTS…`."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable

import django

QUIET_SECONDS = 1.0


def write_randomly(number: str, seconds: str) -> None:
    """Transactions with delays, savepoint rollbacks and rollbacks, until the time is over."""
    from django.db import transaction

    from whizbang.store.event_store import event_store

    store, chance = event_store().driver, random.Random(number)
    deadline = time.monotonic() + float(seconds)
    count = 0
    while time.monotonic() < deadline:
        with transaction.atomic():
            for _ in range(chance.randint(1, 3)):
                count += 1
                append(store, f"w{number}-{count}", chance.choice([1, 1, 5]))
                if chance.random() < 0.1:
                    savepoint = transaction.savepoint()
                    append(store, f"burnt{number}-{count}", 2)
                    transaction.savepoint_rollback(savepoint)
                time.sleep(chance.choice([0, 0, 0.001, 0.02]))
            transaction.set_rollback(chance.random() < 0.2)
        time.sleep(chance.choice([0, 0.005]))


def read_until_quiet(seed: str, seconds: str) -> None:
    """Prints each position; now and then it begins anew at its mark, with another connection."""
    from django.db import connection

    from whizbang.store.event_store import event_store

    chance = random.Random(seed)
    driver = event_store().driver
    tail = driver.tail(after=0)
    earliest_end = quiet_since = time.monotonic() + float(seconds)
    while time.monotonic() < max(earliest_end, quiet_since) + QUIET_SECONDS:
        rows = tail.read(limit=chance.choice([1, 7, 500]))
        for row in rows:
            print(row.position)
        if rows:
            quiet_since = time.monotonic()
        else:
            time.sleep(0.005)
        if chance.random() < 0.02:
            connection.close()
            tail = driver.tail(after=tail.mark)


def append_once(stream: str, expected: str) -> None:
    """Waits for a line, appends two events, and says whether it won."""
    from whizbang.exceptions import ConcurrencyError
    from whizbang.store.event_store import event_store

    driver = event_store().driver
    driver.stream_version(stream)  # connects
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        append(driver, stream, 2, int(expected))
    except ConcurrencyError:
        print("lost")
    else:
        print("won")


def die_while_writing(step: str) -> None:
    """Writes all kinds of rows in one transaction, and is killed at one step of it."""
    from django.db import transaction
    from django.test import override_settings

    import whizbang
    from tests.shop.messages import CallElsewhere, CloseOrder
    from tests.shop.models import Heard

    here = {"SERVICE": "here", "OWNS": ["shop"], "SERVICES": {"there": {"OWNS": ["elsewhere"]}}}
    override_settings(WHIZBANG=here).enable()
    driver = whizbang.event_store().driver
    plain = driver._insert  # type: ignore[attr-defined]

    def insert(*arguments: object) -> object:
        die_at("before the insert", step)
        placed = plain(*arguments)
        die_at("after the insert", step)
        return placed

    driver._insert = insert  # type: ignore[attr-defined]
    with transaction.atomic():
        Heard.objects.create(text="the caller's own row")
        whizbang.publish(CallElsewhere(text="for the outbox"))
        whizbang.send(CloseOrder(order_id="1"))
        die_at("before the commit", step)
    die_at("after the commit", step)


def die_at(here: str, step: str) -> None:
    if here == step:
        os.kill(os.getpid(), signal.SIGKILL)


def append(driver: object, stream: str, count: int, expected: int = 0) -> None:
    from tests.drivers.stores.rows import append

    append(driver, stream, count, expected)  # type: ignore[arg-type]


ROLES: dict[str, Callable[..., None]] = {
    "write": write_randomly,
    "read": read_until_quiet,
    "append": append_once,
    "die": die_while_writing,
}

if __name__ == "__main__":
    django.setup()
    ROLES[sys.argv[1]](*sys.argv[2:])
