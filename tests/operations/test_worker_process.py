"""A real worker process: it stops cleanly, and what a killed one left is taken up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

import whizbang
from tests.shop.messages import OpenOrder, TakeLong, TakeLongOutside
from tests.shop.models import CustomerTotal, Heard, OrderSummary
from whizbang.models import InboxMessage, Lease, StoredEvent

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.django_db(transaction=True)


def start_worker(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "whizbang", "worker", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until(condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def publish(count: int) -> None:
    receipt = whizbang.publish_batch(OpenOrder(order_id=str(i)) for i in range(count))
    assert receipt.accepted == count


def test_worker_until_idle_does_all_that_waits(child_environment: dict[str, str]) -> None:
    publish(700)
    worker = start_worker(child_environment, "--until-idle")
    output, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0, output
    assert OrderSummary.objects.count() == 700
    assert InboxMessage.objects.filter(status="handled").count() == 700


def test_sigterm_stops_after_the_batch_and_gives_leases_back(
    child_environment: dict[str, str],
) -> None:
    publish(1)
    worker = start_worker(child_environment)
    wait_until(lambda: OrderSummary.objects.count() == 1)
    worker.send_signal(signal.SIGTERM)
    output, _ = worker.communicate(timeout=30)
    assert worker.returncode == 0, output
    assert "Worker stopped" in output
    assert not Lease.objects.exclude(owner="").exists()


def test_killed_workers_leave_nothing_twice_and_nothing_undone(
    child_environment: dict[str, str],
) -> None:
    """SIGKILL again and again while commands and projections are under way."""
    environment = {**child_environment, "WHIZBANG_TEST_LEASE_SECONDS": "0.5"}
    publish(3000)
    for _ in range(4):
        before = StoredEvent.objects.count()
        worker = start_worker(environment)
        wait_until(lambda seen=before: StoredEvent.objects.count() > seen or _all_handled())
        os.kill(worker.pid, signal.SIGKILL)
        worker.communicate(timeout=30)
    connection.close()
    # A claim ends with its lease, so the last worker may have to wait for the killed one's.
    worker = start_worker(environment)
    wait_until(lambda: _all_handled() and OrderSummary.objects.count() == 3000, seconds=60)
    worker.send_signal(signal.SIGTERM)
    output, _ = worker.communicate(timeout=30)
    assert worker.returncode == 0, output
    assert StoredEvent.objects.count() == 3000
    assert CustomerTotal.objects.get().orders == 3000


def _all_handled() -> bool:
    return not InboxMessage.objects.exclude(status="handled").exists()


@pytest.mark.parametrize("command", [TakeLong(seconds=0.1), TakeLongOutside(seconds=2.5)])
def test_handler_slower_than_its_claim_runs_once(
    child_environment: dict[str, str], command: TakeLong | TakeLongOutside
) -> None:
    """Two workers, a lease of half a second: nobody takes a message away that is under work."""
    environment = {**child_environment, "WHIZBANG_TEST_LEASE_SECONDS": "0.5"}
    receipt = whizbang.publish(command)
    workers = [start_worker(environment) for _ in range(2)]
    try:
        wait_until(lambda: receipt.refresh().status == "handled")
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=30)
    assert Heard.objects.filter(text="started").count() == 1
    assert InboxMessage.objects.get().attempts == 1


@pytest.mark.requires_server
def test_frozen_worker_is_replaced_and_cannot_write(child_environment: dict[str, str]) -> None:
    """Stopped inside its transaction: the database ends it below the lease, another goes on."""
    environment = {**child_environment, "WHIZBANG_TEST_LEASE_SECONDS": "2"}
    receipt = whizbang.publish(TakeLong(seconds=1.0))
    frozen = start_worker(environment)
    wait_until(lambda: InboxMessage.objects.get().status == "running")
    time.sleep(0.4)  # into the handler's transaction
    frozen.send_signal(signal.SIGSTOP)
    try:
        whizbang.publish(OpenOrder(order_id="1"))
        other = start_worker(environment)
        wait_until(lambda: OrderSummary.objects.count() == 1)
        wait_until(lambda: receipt.refresh().status == "handled")
    finally:
        frozen.send_signal(signal.SIGCONT)
        for worker in (frozen, other):
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=30)
    assert Heard.objects.filter(text="started").count() == 1
    assert StoredEvent.objects.count() == 1
