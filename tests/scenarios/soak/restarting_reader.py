"""A process that follows the log and begins anew at random, as a worker with a checkpoint does.

`python -m tests.scenarios.soak.restarting_reader KIND PATH AFTER` appends each position that it is handed to
the file PATH until its standard input ends and the log has nothing more. KIND is `exact` or a wrong tail's name.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from array import array
from typing import BinaryIO

import django
from django.db import DatabaseError, connection

from whizbang.drivers.stores.base import EventStoreDriver, LogTail

RESTARTS = 0.002  # of all reads
LIMITS = [1, 10, 200, *[1000] * 17]
QUIET_SECONDS = 2.0  # an end of the log that stays so long is the end


def main(kind: str, path: str, after: int) -> None:
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    with open(path, "ab", buffering=0) as file:
        follow(kind, file, after, stop)


def follow(kind: str, file: BinaryIO, after: int, stop: threading.Event) -> None:
    from whizbang.store.event_store import event_store

    store = event_store().driver
    tail, quiet_since = make_tail(store, kind, after), None
    while True:
        try:
            rows = tail.read(limit=random.choice(LIMITS))
        except DatabaseError:
            connection.close()
            tail = make_tail(store, kind, tail.mark)
            continue
        if rows:
            file.write(array("q", [row.position for row in rows]).tobytes())
            quiet_since = None
        elif not stop.is_set():
            time.sleep(0.001 if kind == "exact" else 0)
        else:
            quiet_since = quiet_since or time.monotonic()
            if time.monotonic() - quiet_since > QUIET_SECONDS:
                return
            time.sleep(0.01)
        if random.random() < RESTARTS:
            connection.close()
            tail = make_tail(store, kind, tail.mark)


def make_tail(store: EventStoreDriver, kind: str, after: int) -> LogTail:
    if kind == "exact":
        return store.tail(after=after)
    from tests.scenarios.soak.wrong_tails import WRONG_TAILS

    return WRONG_TAILS[kind](store, after=after)


if __name__ == "__main__":
    django.setup()
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
