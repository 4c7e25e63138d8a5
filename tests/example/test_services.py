"""The example as four services whose workers are killed at random while real orders flow."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from projects.example import services
from projects.example.orders.cdnow import Purchase, read_lines
from tests.conftest import demand
from tests.processes import wait_until

ORDERS = 400
KILLS = 8
# What each service has in its log: its own events, and those of the domains that it listens to.
LOGS = {
    "orders": ["orders", "inventory", "payments", "shipping"],
    "inventory": ["inventory", "orders"],
    "payments": ["payments", "orders", "inventory"],
    "shipping": ["shipping", "orders", "payments"],
}
TYPES = {
    "orders": "orders.OrderPlaced",
    "inventory": "inventory.InventoryReserved",
    "payments": "payments.PaymentCharged",
    "shipping": "shipping.OrderShipped",
}
Shared = dict[str, str]


def brokers() -> list[str]:
    return ["rabbitmq"] if settings.DATABASE_KIND == "postgres" else ["database", "redis"]


@pytest.fixture(params=brokers())
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shared]:
    """Environment of four services with new databases, and queues of their own."""
    if request.param != "database":
        demand(request.param)
    run = f"services-{uuid4().hex[:8]}"
    found = {
        "EXAMPLE_BROKER": request.param,
        "EXAMPLE_BROKER_PREFIX": run,
        "EXAMPLE_DATABASE": settings.DATABASE_KIND,
        "EXAMPLE_DATABASE_PREFIX": run.replace("-", "_"),
        "EXAMPLE_VAR": str(tmp_path),
        "EXAMPLE_LEASE_SECONDS": "3",
        "PGHOST": "127.0.0.1",
    }
    services.create_databases(found)
    yield found
    services.drop_databases(found)


@pytest.mark.usefixtures("cdnow_path")
@pytest.mark.skipif(
    settings.DATABASE_KIND not in ("sqlite", "postgres"), reason="the example runs on these"
)
def test_killed_services_lose_nothing_and_do_nothing_twice(
    shared: Shared, cdnow_path: Path
) -> None:
    services.migrate(shared)
    chance = random.Random(7)
    with services.running(shared) as workers:
        services.manage("orders", shared, "import_cdnow", "--skip-checks", "--limit", str(ORDERS))
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.3, 1.0))
            victim = chance.choice(services.SERVICES)
            workers[victim].kill()
            workers[victim].wait()
            workers[victim] = services.start_worker(victim, shared)
        wait_until(lambda: is_settled(shared))
    reports = {service: read_report(service, shared) for service in services.SERVICES}
    for service, found in reports.items():
        expected = {TYPES[domain]: ORDERS for domain in LOGS[service]}
        assert found["events"] == expected, service
        assert found["places"] == sum(expected.values()), "an event is there twice"
        assert (found["dead"], found["parked"], found["gaps"]) == ([], [], []), service
        assert (found["unhandled"], found["unsent"]) == (0, 0), service
    compare_with_file(reports, cdnow_path)


def is_settled(shared: Shared) -> bool:
    found = read_report("orders", shared)
    return bool(
        found["statuses"] == {"shipped": ORDERS} and len(found["events"]) == len(LOGS["orders"])
    )


def read_report(service: str, shared: Shared) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.example.service_report"],
        cwd=services.ROOT,
        env=services.environment_of(service, shared),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def compare_with_file(reports: dict[str, dict[str, Any]], path: Path) -> None:
    """Every total that the services hold, from the lines of the file alone."""
    lines = [line for line in read_lines(path, limit=ORDERS) if isinstance(line, Purchase)]
    assert len(lines) == ORDERS
    total = sum(line.value for line in lines)
    days: dict[str, list[Any]] = {}
    customers: dict[str, list[Any]] = {}
    for line in lines:
        for rows, key in ((days, str(line.day)), (customers, line.customer_id)):
            row = rows.setdefault(key, [0, 0, 0])
            row[:] = row[0] + 1, row[1] + line.cds, row[2] + line.value
    for rows in (days, customers):
        for row in rows.values():
            row[2] = str(row[2])
    orders = reports["orders"]
    assert (orders["days"], orders["customers"]) == (days, customers)
    assert {found["placed"] for found in reports.values()} == {str(total)}
    assert reports["payments"]["charged"] == reports["shipping"]["charged"] == str(total)
    assert not reports["inventory"]["days"], "it ran a projection of another service"
