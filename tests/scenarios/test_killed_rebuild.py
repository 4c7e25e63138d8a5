"""A worker is killed in each phase of a rebuild: another takes it up, and the result equals an offline fold."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import pytest
from django.db import connection

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
from tests.shop.models import OrderSummary
from whizbang.models import Rebuild, Subscription
from whizbang.operations.rebuild import request_rebuild

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_tables_of_rebuilds"),
]
STREAMS = 10
PAUSE_SECONDS = 0.002  # between two events: a worker that shares its core with the writer keeps up
PHASES = ("folding", "indexing", "publishing", "before the commit")


@pytest.mark.parametrize("phase", PHASES)
def test_rebuild_of_a_killed_worker_is_taken_up(child_environment: Environment, phase: str) -> None:
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        pytest.skip("processes need a database in a file")
    for stream in range(STREAMS):
        note(stream, 3)
    with start_worker(child_environment, "kill", f"rebuild {phase}") as doomed:
        wait_until(has_caught_up)
        OrderSummary.objects.filter(order_id="0").update(notes=99)
        run, _ = request_rebuild(NAME)
        wait_until(lambda: doomed.poll() is not None)
    run.refresh_from_db()
    assert run.status == "running"
    assert rows()["0"] == 99, "half-done rows were published"
    is_done = threading.Event()
    with start_worker(child_environment) as heir:
        at_once(partial(write, is_done), partial(wait_for_end, run, is_done))
        wait_until(lambda: has_caught_up() and rows() == fold())
        stop(heir)
    run.refresh_from_db()
    assert (run.status, run.error) == ("done", "")
    names = Subscription.objects.filter(name__startswith=NAME).values_list("name", flat=True)
    assert f"{NAME}@new" not in names


def write(is_done: threading.Event) -> None:
    number = 0
    while not is_done.is_set():
        note(number % STREAMS)
        number += 1
        time.sleep(PAUSE_SECONDS)


def wait_for_end(run: Any, is_done: threading.Event) -> None:
    try:
        wait_until(lambda: Rebuild.objects.get(pk=run.pk).status not in ("requested", "running"))
    finally:
        is_done.set()
