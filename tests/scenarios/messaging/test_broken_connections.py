"""Connections to the broker that are cut, delayed and half-closed while messages flow, between real services."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.drivers.brokers.proxy import Proxy
from tests.example.four_services import (
    TYPES,
    FourServices,
    check_nothing_left,
    four_services,
)
from tests.processes import wait_until

BROKERS = {
    "sqlite": [pytest.param("redis", marks=pytest.mark.soak)],
    "postgres": ["rabbitmq"],
}.get(settings.DATABASE_KIND, [])
ROUNDS, ORDERS_OF_EACH = 4, 15
ORDERS = ROUNDS * ORDERS_OF_EACH
# Amid the first batch, and amid later ones: a message has about a thousand bytes.
AFTER_BYTES = (300, 5_000, 9_000, 14_000)


@pytest.fixture(params=BROKERS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FourServices]:
    with four_services(request.param, tmp_path) as made:
        yield made


def cut(proxy: Proxy, round: int) -> None:
    proxy.cut_after(AFTER_BYTES[round])


def half_close(proxy: Proxy, round: int) -> None:
    proxy.half_close_after(AFTER_BYTES[round])


def delay(proxy: Proxy, round: int) -> None:
    """Longer and longer, and then not at all."""
    proxy.delay_seconds = (0.02, 0.3, 0.05, 0.0)[round]


@pytest.mark.parametrize(
    "disturb",
    [
        cut,
        pytest.param(half_close, marks=pytest.mark.soak),
        pytest.param(delay, marks=pytest.mark.soak),
    ],
)
def test_nothing_is_lost_doubled_or_reordered(
    shop: FourServices, disturb: Callable[[Proxy, int], None]
) -> None:
    names = ("shipping", "orders", "inventory")
    small = {"EXAMPLE_BATCH_SIZE": "7"}  # many batches, and faults amid them
    with shop.behind_proxy() as (proxy, through), shop.running(*names, **small, **through):
        for round in range(ROUNDS):
            disturb(proxy, round)
            shop.place(first=round * ORDERS_OF_EACH, orders=ORDERS_OF_EACH)
            wait_until(lambda: not proxy.is_armed)
        wait_until(lambda: shop.count("orders", "inventory") == ORDERS)
        wait_until(lambda: shop.report("shipping")["unhandled"] == 0)
    for service in ("orders", "inventory"):
        found = shop.report(service)
        assert found["events"] == {TYPES["orders"]: ORDERS, TYPES["inventory"]: ORDERS}, service
        assert found["streams"] == [f"orders.Order-sent-{n}" for n in range(ORDERS)], service
        check_nothing_left(found, service)
    assert shop.report("shipping")["answers"] == {"handled": ORDERS}
