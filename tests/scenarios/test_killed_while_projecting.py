"""Scenario 8: a worker is killed between read model, checkpoint and commit; nothing is applied twice or skipped."""

from __future__ import annotations

import signal

import pytest

from tests.processes import PATIENCE_SECONDS, stop, wait_until
from tests.scenarios.odd_worker import STEPS
from tests.scenarios.read_model import (
    Environment,
    fold,
    has_caught_up,
    note,
    rows,
    start_worker,
)

pytestmark = pytest.mark.django_db(transaction=True)


def kill_one(environment: Environment, step: str, batches: int, **settings: str) -> None:
    with start_worker(environment, "kill", step, batches=batches, **settings) as process:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == -signal.SIGKILL, output


@pytest.mark.parametrize("step", STEPS)
def test_next_worker_goes_on_exactly(child_environment: Environment, step: str) -> None:
    for stream in range(4):
        note(stream, 6)
    kill_one(child_environment, step, batches=2)
    note(1, 3)
    kill_one(child_environment, step, batches=1)
    with start_worker(child_environment) as process:
        wait_until(has_caught_up)
        stop(process)
    assert rows() == fold() == {"0": 6, "1": 9, "2": 6, "3": 6}


def test_without_one_transaction_events_are_skipped(child_environment: Environment) -> None:
    """The test can fail: a checkpoint that commits before the rows says too much."""
    note(1, 8)
    kill_one(child_environment, "before the rows", batches=2, broken="transaction")
    note(2)
    with start_worker(child_environment) as process:
        wait_until(has_caught_up)
        stop(process)
    assert rows()["2"] == fold()["2"] == 1
    assert rows()["1"] < fold()["1"]
