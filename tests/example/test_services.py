"""The example as four services whose workers are killed at random while real orders flow."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from projects.example import services
from tests.example.four_services import (
    LOGS,
    FourServices,
    check_all_done,
    four_services,
    totals_of_file,
)
from tests.processes import wait_until

ORDERS = 400
KILLS = 8
BROKERS = {
    "sqlite": ["database", pytest.param("redis", marks=pytest.mark.soak)],
    "postgres": ["rabbitmq"],
}.get(settings.DATABASE_KIND, [])


@pytest.fixture(params=BROKERS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FourServices]:
    with four_services(request.param, tmp_path) as made:
        yield made


@pytest.mark.usefixtures("cdnow_path")
def test_killed_services_lose_nothing_and_do_nothing_twice(
    shop: FourServices, cdnow_path: Path
) -> None:
    chance = random.Random(7)
    with services.running(shop.shared) as workers:
        shop.import_orders(ORDERS)
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.3, 1.0))
            victim = chance.choice(services.SERVICES)
            workers[victim].kill()
            workers[victim].wait()
            workers[victim] = shop.start_worker(victim)
        wait_until(lambda: is_settled(shop))
    reports = {service: shop.report(service) for service in services.SERVICES}
    for service, found in reports.items():
        check_all_done(found, service=service, orders=ORDERS)
    total, days, customers = totals_of_file(cdnow_path, orders=ORDERS)
    assert (reports["orders"]["days"], reports["orders"]["customers"]) == (days, customers)
    assert {found["placed"] for found in reports.values()} == {total}
    assert reports["payments"]["charged"] == reports["shipping"]["charged"] == total
    assert not reports["inventory"]["days"], "it ran a projection of another service"


def is_settled(shop: FourServices) -> bool:
    found = shop.report("orders")
    return bool(
        found["statuses"] == {"shipped": ORDERS} and len(found["events"]) == len(LOGS["orders"])
    )
