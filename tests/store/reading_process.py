"""A process that reads or imports many events and prints how much memory that took at most, in MB.

`python -m tests.store.reading_process WAY COUNT`
"""

from __future__ import annotations

import sys
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import django
from asgiref.sync import async_to_sync

STREAM = "shop.Order-big"


def import_events(store: Any, count: int) -> int:
    from tests.shop.messages import OrderNoted

    half = count // 2
    text = "x" * 200
    events = (
        (STREAM if n < half else f"shop.Order-{n}", OrderNoted(order_id=str(n), text=text))
        for n in range(count)
    )
    return int(store.import_events(events))


def read_all(store: Any, count: int) -> int:
    return sum(1 for _ in store.read_all(limit=None))


def read_stream(store: Any, count: int) -> int:
    return 2 * sum(1 for _ in store.read_stream(STREAM))


def read_backwards(store: Any, count: int) -> int:
    return 2 * sum(1 for _ in store.read_stream(STREAM, backwards=True))


def read_some_types(store: Any, count: int) -> int:
    return sum(1 for _ in store.read_all(limit=None, types=["shop.OrderNoted"]))


async def aread_all(store: Any, count: int) -> int:
    done = 0
    async for _ in store.aread_all(limit=None):
        done += 1
    return done


async def aread_stream(store: Any, count: int) -> int:
    done = 0
    async for _ in store.aread_stream(STREAM):
        done += 2
    return done


def hoard(store: Any, count: int) -> int:
    """What must not be: all events at once."""
    return len(list(store.read_all(limit=None)))


def main(way: str, count: int) -> None:
    import whizbang

    work = globals()[way]
    if iscoroutinefunction(work):
        work = async_to_sync(work)
    done = work(whizbang.event_store(), count)
    assert done == count, f"{way} had {done} events instead of {count}"
    print(peak_mb())


def peak_mb() -> int:
    """Of this program: what `getrusage` tells may be of the one that started it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    raise RuntimeError("/proc/self/status does not tell the peak of the memory")


if __name__ == "__main__":
    django.setup()
    main(sys.argv[1], int(sys.argv[2]))
