"""Scenario 15: workers come, go and are killed; each stream's events are applied in order, by one of them at a time."""

from __future__ import annotations

import random
import threading
from contextlib import ExitStack
from functools import partial
from subprocess import Popen

import pytest
from django.db import connection

from tests.processes import kill, stop, wait_until
from tests.scenarios.read_model import (
    Environment,
    at_once,
    fold,
    has_caught_up,
    note,
    rows,
    start_worker,
)
from whizbang.models import Stream

pytestmark = pytest.mark.django_db(transaction=True)
CHANGES = 6


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
    """Up to three at a time; each leaves when it has moved something, or is killed."""
    chance = random.Random(1)
    with ExitStack() as stack:
        running: list[Popen[str]] = []
        for _ in range(CHANGES):
            if len(running) == 3 or (running and chance.random() < 0.4):
                end = chance.choice([stop, kill])
                end(running.pop(chance.randrange(len(running))))
            else:
                running.append(stack.enter_context(start_worker(environment)))
            before = sum(rows().values())
            if running:
                wait_until(lambda before=before: sum(rows().values()) > before)  # type: ignore[misc]
        for process in running:
            kill(process)


def streams() -> dict[str, int]:
    """The version of each stream, as the catalogue has it."""
    found = Stream.objects.values_list("aggregate_id", "version")
    return dict(found)
