"""The example as four services whose workers are killed at random while real orders flow, and some of them fail."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from projects.example import services
from projects.example.process import CHOREOGRAPHY, SAGA
from tests.example.books import SHARES, Books, check_sums, expect_books, purchases
from tests.example.four_services import FourServices, check_nothing_left, four_services
from tests.processes import wait_until

ORDERS = 200
KILLS = 6
BROKERS = {"sqlite": ["database", "redis"], "postgres": ["rabbitmq"]}.get(
    settings.DATABASE_KIND, []
)


def on(broker: str, process: str) -> Any:
    is_quick = process == SAGA and broker != "redis"
    return pytest.param((broker, process), marks=[] if is_quick else [pytest.mark.soak])


@pytest.fixture(params=[on(b, p) for b in BROKERS for p in (SAGA, CHOREOGRAPHY)])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FourServices]:
    broker, process = request.param
    failures = ",".join(f"{name}={share}" for name, share in SHARES.items())
    with four_services(broker, tmp_path, process=process, failures=failures) as made:
        yield made


def test_killed_services_lose_nothing_and_do_nothing_twice(
    shop: FourServices, cdnow_path: Path, settings: Any
) -> None:
    settings.EXAMPLE = {"FAILURES": SHARES}
    expected = expect_books(cdnow_path, orders=ORDERS)
    unpaid = sum("not paid" in account.order for account in expected.values())
    chance = random.Random(7)
    with services.running(shop.shared) as workers:
        shop.import_orders(ORDERS)
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.3, 1.0))
            victim = chance.choice(services.SERVICES)
            workers[victim].kill()
            workers[victim].wait()
            workers[victim] = shop.start_worker(victim)
        wait_until(lambda: count_ended(shop) == ORDERS - unpaid)
        shop.ask("orders", "tests.example.a_day_later")
        wait_until(lambda: shop.report("orders")["books"] == as_texts(expected))
        for service in services.SERVICES:
            wait_until(lambda service=service: shop.report(service)["unhandled"] == 0)  # type: ignore[misc]
        wait_until(lambda: shop.report("orders")["unsent"] == 0)
    check_sums(expected)
    reports = {service: shop.report(service) for service in services.SERVICES}
    check_logs(reports)
    kept = sum(account.kept for account in expected.values())
    for row in (reports["orders"]["days"], reports["orders"]["customers"]):
        assert sum(Decimal(value) for _, _, value in row.values()) == kept
    assert read_customers(reports["orders"]) == customers_of(expected, cdnow_path)
    assert not reports["inventory"]["days"], "it ran a projection of another service"


def count_ended(shop: FourServices) -> int:
    found = shop.report("orders")["statuses"]
    return int(found.get("shipped", 0) + found.get("cancelled", 0))


def as_texts(books: Books) -> dict[str, list[str]]:
    return {order_id: account.as_texts() for order_id, account in books.items()}


def check_logs(reports: dict[str, dict[str, Any]]) -> None:
    """Each event is there once, in its own service and wherever it was heard."""
    known = Counter(reports["orders"]["events"])
    for service, found in reports.items():
        assert found["places"] == sum(found["events"].values()), "an event is there twice"
        own = {n: count for n, count in found["events"].items() if n.startswith(f"{service}.")}
        assert own
        assert {n: known[n] for n in own} == own, service
        check_nothing_left(found, service)


def read_customers(report: dict[str, Any]) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = report["customers"]
    return {key: [orders, cds, Decimal(value)] for key, (orders, cds, value) in rows.items()}


def customers_of(books: Books, path: Path) -> dict[str, list[Any]]:
    """From the file: what each customer has ordered, without what was cancelled."""
    found: dict[str, list[Any]] = {}
    for line, account in zip(purchases(path, orders=ORDERS), books.values(), strict=True):
        row = found.setdefault(line.customer_id, [0, 0, Decimal(0)])
        if account.shipment:
            row[:] = row[0] + 1, row[1] + line.cds, row[2] + line.value
    return found
