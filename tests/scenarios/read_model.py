"""The shop's read model against an offline fold of the log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from subprocess import Popen
from typing import Any

from django.db import connections

import whizbang
from tests.processes import PATIENCE_SECONDS, running
from tests.scenarios.odd_worker import NAME
from tests.shop.messages import OrderNoted
from tests.shop.models import OrderSummary
from whizbang.models import Lease, Partition, Stream

Environment = dict[str, str]


def note(stream: int, count: int = 1) -> None:
    """So many notes on an order, each in an append of its own."""
    for _ in range(count):
        event = OrderNoted(order_id=str(stream), text="a")
        whizbang.event_store().append(f"shop.Order-{stream}", [event])


def fold() -> dict[str, int]:
    """Notes by order, as the log has them."""
    recorded = whizbang.event_store().read_all(limit=None, types=[OrderNoted])
    return dict(Counter(item.event.order_id for item in recorded))


def rows() -> dict[str, int]:
    """Notes by order, as the read model has them."""
    return dict(OrderSummary.objects.values_list("order_id", "notes"))


def streams() -> dict[str, int]:
    """The version of each stream by its aggregate's id, as the catalogue has it."""
    return dict(Stream.objects.values_list("aggregate_id", "version"))


def position() -> int:
    rows = Partition.objects.filter(subscription=NAME)
    return min(rows.values_list("position", flat=True))


def has_caught_up() -> bool:
    return position() >= whizbang.event_store().head()


def start_worker(
    environment: Environment,
    action: str = "nothing",
    step: str = "",
    *,
    batches: int = 1,
    **settings: Any,
) -> AbstractContextManager[Popen[str]]:
    """See odd_worker; BATCH_SIZE and LEASE_SECONDS are small unless given."""
    values = {"BATCH_SIZE": 5, "LEASE_SECONDS": 1.0, "IDLE_POLL_SECONDS": 0.05, **settings}
    return running(
        environment,
        "-m",
        "tests.scenarios.odd_worker",
        action,
        step,
        str(batches),
        json.dumps(values),
    )


def has_signed_on(process: Popen[str]) -> bool:
    """Does the worker run, so that it ends by itself when it is asked to? Else the signal just kills it."""
    return Lease.objects.filter(
        name__startswith="worker/", owner__contains=f"-{process.pid}-"
    ).exists()


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """What they give, each run in a thread of its own; raises what one of them raises."""

    def run(action: Callable[[], Any]) -> Any:
        try:
            return action()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(actions)) as threads:
        futures = [threads.submit(run, action) for action in actions]
        return [future.result(PATIENCE_SECONDS) for future in futures]
