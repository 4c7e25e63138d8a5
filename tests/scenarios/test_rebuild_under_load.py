"""Scenarios 11 and 12: a rebuild while writers append; readers see whole rows, subscribers hear nothing twice."""

from __future__ import annotations

import threading
from decimal import Decimal
from functools import partial

import pytest
from django.db import connection

import whizbang
from tests.processes import stop, wait_until
from tests.scenarios.odd_worker import NAME
from tests.scenarios.read_model import (
    Environment,
    at_once,
    fold,
    has_caught_up,
    note,
    rows,
    start_worker,
)
from tests.shop.messages import OrderOpened
from tests.shop.models import Heard
from whizbang.operations.rebuild import rebuild_here, request_rebuild

pytestmark = pytest.mark.django_db(transaction=True)
STREAMS = 10
REBUILDS = 3


def test_rebuild_under_load_equals_an_offline_fold(child_environment: Environment) -> None:
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        pytest.skip("processes need a database in a file")
    for stream in range(STREAMS):
        note(stream, 20)
    is_done = threading.Event()

    def write(number: int) -> None:
        while not is_done.is_set():
            note(number)
            note(STREAMS - 1 - number)

    def rebuild() -> int:
        try:
            return rebuild_some_times()
        finally:
            is_done.set()

    with start_worker(child_environment, BATCH_SIZE=50, rebuilds=False) as process:
        wait_until(lambda: len(rows()) == STREAMS)
        watching = partial(watch, is_done)
        _, _, torn, rebuilt = at_once(partial(write, 0), partial(write, 1), watching, rebuild)
        wait_until(lambda: has_caught_up() and rows() == fold())
        stop(process)
    assert torn == [], "a reader saw a table that was not whole"
    assert rebuilt == REBUILDS


def watch(is_done: threading.Event) -> list[object]:
    """What readers must never see: fewer rows, or a count that goes back."""
    torn: list[object] = []
    last: dict[str, int] = rows()
    while not is_done.is_set():
        now = rows()
        if len(now) != STREAMS or any(now[key] < last.get(key, 0) for key in now):
            torn.append((last, now))
        last = now
    return torn


def rebuild_some_times() -> int:
    """Here, beside the worker that feeds the live projection."""
    done = 0
    for _ in range(REBUILDS):
        run = rebuild_here(request_rebuild(NAME)[0])
        assert run.status == "done", run.error
        done += 1
    return done


def test_rebuild_repeats_no_side_effects(child_environment: Environment) -> None:
    with start_worker(child_environment, rebuilds=False) as process:
        for number in range(5):
            opened = OrderOpened(
                order_id=str(number), customer_id="c", total=Decimal(1), currency="EUR"
            )
            whizbang.event_store().append(f"shop.Order-{number}", [opened])
        wait_until(lambda: Heard.objects.count() == 5)
        assert rebuild_some_times() == REBUILDS
        opened = OrderOpened(order_id="last", customer_id="c", total=Decimal(1), currency="EUR")
        whizbang.event_store().append("shop.Order-last", [opened])
        wait_until(lambda: Heard.objects.filter(text="opened last").exists())
        stop(process)
    assert sorted(Heard.objects.values_list("text", flat=True)) == sorted(
        [*(f"opened {number}" for number in range(5)), "opened last"]
    )
