"""Several relays that share one outbox, each a process."""

from __future__ import annotations

import multiprocessing
from time import perf_counter
from typing import Any

from benchmarks.databases import Database
from benchmarks.relaying import services
from benchmarks.relaying.services import FRONT

_PATIENCE_SECONDS = 120.0


def run(database: Database, prefix: str, relays: int, count: int) -> float:
    """Messages a second that so many relays move, from the moment that all of them are at work."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(relays + 1)
    processes = [
        context.Process(target=_relay, args=(database, prefix, f"relay-{n}", barrier), daemon=True)
        for n in range(relays)
    ]
    for process in processes:
        process.start()
    barrier.wait(_PATIENCE_SECONDS)
    started = perf_counter()
    for process in processes:
        process.join(_PATIENCE_SECONDS)
        if process.exitcode != 0:
            raise RuntimeError(f"A relay ended with {process.exitcode}.")
    return count / (perf_counter() - started)


def _relay(database: Database, prefix: str, owner: str, barrier: Any) -> None:
    """Until nothing is unsent; at work means that it has its share of the lanes."""
    services.set_up(database, FRONT, prefix)
    from whizbang.messaging.relay import Relay
    from whizbang.models import OutboxMessage
    from whizbang.store.event_store import event_store

    relay = Relay(event_store(), owner)
    _share(relay, barrier)
    unsent = OutboxMessage.objects.filter(published_at__isnull=True)
    while relay.run_once() or unsent.exists():
        continue
    relay.close()


def _share(relay: Any, barrier: Any) -> None:
    """Sign on, wait for the others, and look again until the lanes are shared."""
    relay._lanes.numbers()
    deadline = perf_counter() + 1.0
    while perf_counter() < deadline:
        relay._lanes._look_at = 0.0
        relay._lanes.numbers()
    barrier.wait(_PATIENCE_SECONDS)
