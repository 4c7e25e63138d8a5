"""Scenarios 17 to 20: services in processes of their own, killed at each step, and a broker that goes away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.example.four_services import (
    TYPES,
    FourServices,
    check_nothing_left,
    four_services,
)
from tests.processes import wait_until

BROKERS = {
    "sqlite": ["kafka", pytest.param("redis", marks=pytest.mark.soak)],
    "postgres": ["rabbitmq"],
}.get(settings.DATABASE_KIND, [])
ORDERS = 60
# All of it on RabbitMQ and PostgreSQL; 17, 18 and 20 on Redis and Kafka, with SQLite, too.
_LONG_BUT_ON_RABBITMQ = () if BROKERS == ["rabbitmq"] else pytest.mark.soak


@pytest.fixture(params=BROKERS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FourServices]:
    with four_services(request.param, tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("killed", "step"),
    [
        ("orders", "topic published"),  # 17
        pytest.param("shipping", "outbox published", marks=pytest.mark.soak),  # 17
        pytest.param("orders", "received before commit", marks=pytest.mark.soak),
        pytest.param("orders", "received before acknowledge", marks=pytest.mark.soak),
        pytest.param("inventory", "received before acknowledge", marks=_LONG_BUT_ON_RABBITMQ),  # 18
    ],
)
def test_killed_between_its_steps_it_sends_or_gets_again_and_the_effect_is_once(
    shop: FourServices, killed: str, step: str
) -> None:
    small = {"EXAMPLE_BATCH_SIZE": "7"}  # several batches, so that it dies amid them
    shop.place(orders=ORDERS)
    others = {"orders", "inventory", "shipping"} - {killed}
    with shop.running(*sorted(others), **small):
        doomed = shop.start_worker(killed, trap=step, **small)
        wait_until(lambda: doomed.poll() is not None)
        assert doomed.returncode == -9
        with shop.running(killed, **small):
            wait_until(lambda: shop.count("orders", "inventory") == ORDERS)
            wait_until(lambda: shop.report("shipping")["unhandled"] == 0)
    for service, domains in {
        "orders": ["orders", "inventory"],
        "inventory": ["orders", "inventory"],
    }.items():
        found = shop.report(service)
        assert found["events"] == {TYPES[domain]: ORDERS for domain in domains}
        assert found["places"] == 2 * ORDERS
        check_nothing_left(found, service)
    assert shop.report("shipping")["answers"] == {"handled": ORDERS}


@pytest.mark.requires_postgres
def test_broker_that_is_down_for_long_holds_no_writer_up_and_nothing_is_lost(
    shop: FourServices,
) -> None:
    """Scenario 19: connections are refused, then frozen, then cut amid the flow; rows wait for days."""
    with shop.behind_proxy() as (proxy, through):
        shop.place(orders=10)
        shop.ask("shipping", "tests.example.aging")  # as if they had waited for two days
        proxy.freeze()
        with shop.running("shipping", "orders", "inventory", **through):
            shop.place(first=10, orders=20)
            assert shop.report("shipping")["unsent"] == 30
            proxy.thaw()
            wait_until(lambda: shop.count("orders", "orders") >= 5)
            proxy.cut()
            shop.place(first=30, orders=ORDERS - 30)
            wait_until(lambda: shop.count("orders", "inventory") == ORDERS)
            proxy.cut()
            wait_until(lambda: shop.report("shipping")["unsent"] == 0)
    found = shop.report("orders")
    assert found["events"] == {TYPES["orders"]: ORDERS, TYPES["inventory"]: ORDERS}
    assert found["streams"] == [f"orders.Order-sent-{number}" for number in range(ORDERS)]
    check_nothing_left(found, "orders")


@pytest.mark.soak
def test_several_workers_of_each_service_keep_the_order(shop: FourServices) -> None:
    """Scenario 20: two relays, two receivers, and workers that come and go."""
    names = ("shipping", "orders", "inventory")
    with shop.running(*names), shop.running(*names):
        shop.place(orders=30)
        with shop.running(*names):
            shop.place(first=30, orders=ORDERS - 30)
            time.sleep(1)
        wait_until(lambda: shop.count("orders", "inventory") == ORDERS)
    for service in ("orders", "inventory"):
        found = shop.report(service)
        expected = [f"orders.Order-sent-{n}" for n in range(ORDERS)]
        if (service, shop.broker) == ("inventory", "kafka"):  # its topics have partitions
            assert sorted(found["streams"]) == sorted(expected)
        else:
            assert found["streams"] == expected, service
        assert found["misplaced"] == []
        check_nothing_left(found, service)


@pytest.mark.requires_postgres
def test_sender_waits_for_the_answers_of_another_service(shop: FourServices) -> None:
    with shop.running("shipping", "orders"):
        found = shop.ask("shipping", "tests.example.order_sender", "0", "5", "wait")
    assert found["answers"] == [f"sent-{number}" for number in range(5)]
