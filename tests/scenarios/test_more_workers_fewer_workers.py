"""Scenario 15: workers come, go and are killed; each stream's events are applied in order, by one of them at a time."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import partial
from subprocess import Popen

import pytest
from django.db import connection

from tests.marks import soak_on
from tests.processes import kill, stop, wait_until
from tests.scenarios.read_model import (
    Environment,
    at_once,
    fold,
    has_caught_up,
    has_signed_on,
    note,
    rows,
    start_worker,
    streams,
)

pytestmark = pytest.mark.django_db(transaction=True)
CHANGES = ("start", "start", "start", "kill", "start", "stop", "start", "kill", "kill")


@soak_on("sqlite", "mariadb")
def test_workers_come_and_go(child_environment: Environment) -> None:
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        pytest.skip("processes need a database in a file")
    is_done = threading.Event()

    def write(number: int) -> None:
        while not is_done.is_set():
            note(number)
            note(9)  # a stream that both write to

    def change() -> None:
        try:
            change_workers(child_environment)
        finally:
            is_done.set()

    at_once(change, partial(write, 1), partial(write, 2))
    with start_worker(child_environment) as process:
        wait_until(lambda: has_caught_up() and rows() == fold())
        wait_until(lambda: streams() == fold())
        stop(process)
    assert rows() == fold() and len(rows()) >= 2


def change_workers(environment: Environment) -> None:
    """Two or three at a time, most of the time; each change waits until something moved."""
    running: list[Popen[str]] = []
    with ExitStack() as stack:
        for change in CHANGES:
            if change == "start":
                started = stack.enter_context(start_worker(environment, BATCH_SIZE=50))
                running.append(started)
                wait_until(partial(has_signed_on, started))
            else:
                end = {"stop": stop, "kill": kill}[change]
                end(running.pop(0))  # the one that holds the leases, more often than not
            before = sum(rows().values())
            wait_until(lambda before=before: sum(rows().values()) > before)  # type: ignore[misc]
        for process in running:
            kill(process)
