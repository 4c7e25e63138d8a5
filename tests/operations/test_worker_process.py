"""A real worker process: it stops cleanly, and what a killed one left is taken up."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from django.db import connection

import whizbang
from tests.processes import (
    PATIENCE_SECONDS,
    freeze,
    kill,
    running,
    running_worker,
    stop,
    thaw,
    wait_for_end,
    wait_until,
)
from tests.shop.messages import OpenOrder, TakeLong, TakeLongOutside
from tests.shop.models import CustomerTotal, Heard, OrderSummary
from whizbang.models import InboxMessage, Lease, Rebuild, StoredEvent
from whizbang.operations.rebuild import request_rebuild

pytestmark = pytest.mark.django_db(transaction=True)


def publish(count: int) -> None:
    receipt = whizbang.publish_batch(OpenOrder(order_id=str(i)) for i in range(count))
    assert receipt.accepted == count


def test_worker_until_idle_does_all_that_waits(child_environment: dict[str, str]) -> None:
    publish(700)
    with running_worker(child_environment, "--until-idle") as worker:
        wait_for_end(worker)
    assert OrderSummary.objects.count() == 700
    assert InboxMessage.objects.filter(status="handled").count() == 700


def test_sigterm_stops_after_the_batch_and_gives_leases_back(
    child_environment: dict[str, str],
) -> None:
    publish(1)
    with running_worker(child_environment) as worker:
        wait_until(lambda: OrderSummary.objects.count() == 1)
        assert "Worker stopped" in stop(worker)
    assert not Lease.objects.exclude(owner="").exists()


@pytest.mark.usefixtures("no_tables_of_rebuilds")
def test_rebuild_holds_nothing_else_up_and_ends_with_its_worker(
    child_environment: dict[str, str],
) -> None:
    """The rebuild stands still for as long as the test wants; the same worker goes on with all else."""
    environment = {**child_environment, "WHIZBANG_TEST_LEASE_SECONDS": "2"}
    publish(3)
    program = "import tests.operations.standing_rebuild as s; s.main()"
    with running(environment, "-c", program) as worker:
        wait_until(lambda: OrderSummary.objects.count() == 3)
        run, _ = request_rebuild("shop.OrderSummaries")
        wait_until(lambda: Rebuild.objects.get(pk=run.pk).status == "running")
        receipt = whizbang.publish(OpenOrder(order_id="while it stands"))
        assert receipt.wait(timeout_seconds=PATIENCE_SECONDS) == "while it stands"
        stop(worker)
    assert Rebuild.objects.get(pk=run.pk).status == "running"
    with running_worker(environment) as heir:
        wait_until(lambda: Rebuild.objects.get(pk=run.pk).status == "done")
        stop(heir)
    assert OrderSummary.objects.count() == 4


def test_killed_workers_leave_nothing_twice_and_nothing_undone(
    child_environment: dict[str, str],
) -> None:
    """SIGKILL again and again while commands and projections are under way."""
    environment = {**child_environment, "WHIZBANG_TEST_LEASE_SECONDS": "2"}
    publish(3000)
    for _ in range(4):
        before = StoredEvent.objects.count()
        with running_worker(environment) as worker:
            wait_until(lambda seen=before: StoredEvent.objects.count() > seen or _all_handled())
            kill(worker)
    connection.close()
    # A claim ends with its lease, so the last worker may have to wait for the killed one's.
    with running_worker(environment) as worker:
        wait_until(lambda: _all_handled() and OrderSummary.objects.count() == 3000)
        stop(worker)
    assert StoredEvent.objects.count() == 3000
    assert CustomerTotal.objects.get().orders == 3000


def _all_handled() -> bool:
    return not InboxMessage.objects.exclude(status="handled").exists()


@pytest.mark.parametrize("command", [TakeLong(seconds=0.1), TakeLongOutside(seconds=5)])
def test_handler_slower_than_its_claim_runs_once(
    child_environment: dict[str, str], command: TakeLong | TakeLongOutside
) -> None:
    """Two workers, a claim shorter than the handler: nobody takes a message away that is under work."""
    environment = {**child_environment, "WHIZBANG_TEST_LEASE_SECONDS": "2"}
    receipt = whizbang.publish(command)
    with running_worker(environment), running_worker(environment):
        wait_until(lambda: receipt.refresh().status == "handled")
    assert Heard.objects.filter(text="started").count() == 1
    assert InboxMessage.objects.get().attempts == 1


@pytest.mark.requires_server
def test_frozen_worker_is_replaced_and_cannot_write(child_environment: dict[str, str]) -> None:
    """Stopped inside its transaction: the database ends it below the lease, another goes on.

    The handler stays far below what the database allows, also for the other worker on a busy machine.
    """
    environment = {**child_environment, "WHIZBANG_TEST_LEASE_SECONDS": "4"}
    receipt = whizbang.publish(TakeLong(seconds=0.7))
    with ExitStack() as stack:
        frozen = stack.enter_context(running_worker(environment))
        wait_until(_is_handler_in_its_transaction)
        freeze(frozen)
        whizbang.publish(OpenOrder(order_id="1"))
        other = stack.enter_context(running_worker(environment))
        wait_until(lambda: OrderSummary.objects.count() == 1)
        wait_until(lambda: receipt.refresh().status == "handled")
        thaw(frozen)
        stop(frozen)
        stop(other)
    assert Heard.objects.filter(text="started").count() == 1
    assert StoredEvent.objects.count() == 1


def _is_handler_in_its_transaction() -> bool:
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            return _has_uncommitted_rows(cursor)
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state LIKE 'idle in transaction%%' AND query LIKE %s",
            [f"%{Heard._meta.db_table}%"],
        )
        return bool(cursor.fetchone()[0])


def _has_uncommitted_rows(cursor: Any) -> bool:
    """By a dirty read, which PostgreSQL does not have."""
    counts = []
    for level in ("READ UNCOMMITTED", "READ COMMITTED"):
        cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
        cursor.execute(f"SELECT count(*) FROM {Heard._meta.db_table}")
        counts.append(cursor.fetchone()[0])
    return counts[0] > counts[1]
