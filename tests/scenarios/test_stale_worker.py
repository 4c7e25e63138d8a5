"""Scenario 9: a worker is frozen past its lease, another takes over, the first wakes: its write is refused."""

from __future__ import annotations

import signal
from pathlib import Path
from subprocess import Popen

import pytest
from django.db import connection

from tests.processes import stop, wait_until
from tests.scenarios.odd_worker import NAME
from tests.scenarios.read_model import (
    Environment,
    fold,
    has_caught_up,
    note,
    rows,
    start_worker,
)
from whizbang.models import Lease

pytestmark = pytest.mark.django_db(transaction=True)


def is_frozen(process: Popen[str]) -> bool:
    state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    assert process.poll() is None, "the worker has ended"
    return state == "T"


def owner() -> str:
    return Lease.objects.values_list("owner", flat=True).get(name=NAME)


@pytest.mark.parametrize("step", ["before the transaction", "before the commit"])
def test_frozen_worker_cannot_write_when_it_wakes(
    child_environment: Environment, step: str
) -> None:
    if step == "before the commit" and connection.vendor == "sqlite":
        pytest.skip("whoever is frozen in a transaction on SQLite is the one writer there is")
    note(1, 8)
    note(2, 8)
    with start_worker(child_environment, "freeze", step, batches=2) as frozen:
        wait_until(lambda: is_frozen(frozen))
        first = owner()
        with start_worker(child_environment) as other:
            wait_until(lambda: has_caught_up() and owner() not in ("", first))
            assert rows() == fold()
            note(1, 4)
            wait_until(has_caught_up)
            frozen.send_signal(signal.SIGCONT)
            note(2, 4)
            wait_until(lambda: has_caught_up() and rows() == fold())
            stop(other)
        # The first one works again once it may.
        note(3, 2)
        wait_until(lambda: has_caught_up() and rows() == fold())
        stop(frozen)
    assert rows() == fold() == {"1": 12, "2": 12, "3": 2}


def test_without_the_epoch_it_writes_over_the_other(child_environment: Environment) -> None:
    """The test can fail: what the frozen one was about to write is written a second time."""
    note(1, 8)
    with start_worker(
        child_environment, "freeze", "before the transaction", batches=2, broken="epoch"
    ) as frozen:
        wait_until(lambda: is_frozen(frozen))
        with start_worker(child_environment) as other:
            wait_until(has_caught_up)
            stop(other)
        frozen.send_signal(signal.SIGCONT)
        wait_until(lambda: rows()["1"] > fold()["1"])
