"""Scenario 13: nudges make a worker quicker, and nothing else depends on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

import whizbang
from tests.processes import running, stop, wait_until
from tests.shop.messages import OrderNoted
from tests.shop.models import OrderSummary
from whizbang.drivers import wakeups
from whizbang.messaging import nudge
from whizbang.models import Lease

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def running_patient_worker(environment: dict[str, str], *, idle_seconds: float) -> Iterator[None]:
    """A worker that polls so seldom once it is idle; it is idle when it is handed over."""
    program = (
        "import django; django.setup()\n"
        "from whizbang.conf import settings\n"
        "from whizbang.operations.worker import Worker\n"
        "import dataclasses, signal\n"
        "settings._loaded = dataclasses.replace(\n"
        f"    settings.get(), BUSY_POLL_SECONDS={idle_seconds}, IDLE_POLL_SECONDS={idle_seconds}\n"
        ")\n"
        "worker = Worker()\n"
        "signal.signal(signal.SIGTERM, lambda *_: worker.stop())\n"
        "worker.run()\n"
    )
    with running(environment, "-c", program) as process:
        wait_until(lambda: Lease.objects.exclude(owner="").exists() or process.poll() is not None)
        yield
        if idle_seconds < 60:
            stop(process)


def note(text: str = "a") -> None:
    """Once a nudge is sent again: this worker, unlike others, does not look often after one."""
    wait_until(lambda: not wakeups.is_quiet("default"))
    whizbang.event_store().append("shop.Order-1", [OrderNoted(order_id="1", text=text)])


def has_notes(count: int) -> bool:
    return OrderSummary.objects.filter(order_id="1", notes=count).exists()


def test_worker_finds_everything_without_a_nudge(
    child_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nudge, "wake_others", lambda using: None)
    with running_patient_worker(child_environment, idle_seconds=0.3):
        for count in range(1, 4):
            note()
            wait_until(lambda count=count: has_notes(count))  # type: ignore[misc]


@pytest.mark.requires_postgres
def test_nudge_from_another_process_wakes_a_worker_that_hardly_polls(
    child_environment: dict[str, str],
) -> None:
    """It would look again after an hour."""
    with running_patient_worker(child_environment, idle_seconds=3600):
        wait_until(lambda: listeners() == 1)
        for count in range(1, 4):
            note()
            wait_until(lambda count=count: has_notes(count))  # type: ignore[misc]


@pytest.mark.requires_postgres
def test_worker_listens_again_after_its_connection_was_ended(
    child_environment: dict[str, str],
) -> None:
    with running_patient_worker(child_environment, idle_seconds=3600):
        wait_until(lambda: listeners() == 1)
        (first,) = listening()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [first])
        wait_until(lambda: listeners() == 1 and listening() != [first])
        for count in (1, 2):  # the first might be seen because it listens anew
            note()
            wait_until(lambda count=count: has_notes(count))  # type: ignore[misc]


def listening() -> list[int]:
    """Backends of this database whose last statement was LISTEN."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE %s",
            [f"LISTEN {wakeups.CHANNEL}%"],
        )
        return [pid for (pid,) in cursor.fetchall()]


def listeners() -> int:
    return len(listening())
