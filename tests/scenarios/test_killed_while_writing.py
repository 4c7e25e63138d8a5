"""Scenario 4: a writer is killed at a step of its write, and either all of it is there or nothing."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from django.db import connection

import whizbang
from tests.processes import ROOT
from tests.shop.models import CustomerTotal, Heard
from whizbang.models import InboxMessage, OutboxMessage

STEPS = ["before-insert", "after-insert", "before-commit", "after-commit"]
ALL = {"events": 2, "inline projection": 1, "outbox": 1, "own rows": 1, "known ids": 1}
NOTHING = dict.fromkeys(ALL, 0)

pytestmark = pytest.mark.django_db(transaction=True)


def write_and_die(environment: dict[str, str], step: str, mode: str) -> dict[str, int]:
    """Run a writer that is killed at the step; gives what is there afterwards."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.scenarios.killed_writer", step, mode],
        cwd=ROOT,
        env={**environment, "PGAPPNAME": "whizbang killed writer"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    await_end_of_session()
    return {
        "events": len(list(whizbang.event_store().read_all())),
        "inline projection": CustomerTotal.objects.filter(orders=1).count(),
        "outbox": OutboxMessage.objects.count(),
        "own rows": Heard.objects.count(),
        "known ids": InboxMessage.objects.count(),
    }


def await_end_of_session() -> None:
    """The server notices the death by itself; what it was told to commit before is done by then."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'whizbang killed writer'"
        )


@pytest.mark.parametrize("step", STEPS)
def test_all_or_nothing_is_written(child_environment: dict[str, str], step: str) -> None:
    expected = ALL if step == "after-commit" else NOTHING
    assert write_and_die(child_environment, step, "whole") == expected


def test_without_the_callers_transaction_a_part_would_stay(
    child_environment: dict[str, str],
) -> None:
    """The mutant: what was written before the insert is there, and the rest is not."""
    left = write_and_die(child_environment, "after-insert", "broken")
    assert left not in (ALL, NOTHING)
    assert left["own rows"] == left["outbox"] == 1
