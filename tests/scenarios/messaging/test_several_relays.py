"""Scenario 20 with a topic in partitions: several relays publish it at once, are killed, and each stream keeps its order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.conf import settings

from projects.example import services
from tests.example.four_services import FourServices, check_nothing_left, four_services
from tests.example.stream_writer import EVENTS_OF_EACH
from tests.processes import wait_until

BROKERS = {
    "sqlite": ["kafka", pytest.param("redis", marks=pytest.mark.soak)],
    "postgres": ["rabbitmq"],
}.get(settings.DATABASE_KIND, [])
TOPIC, EVENT = "whizbang.topic.shipping", "shipping.OrderShipped"
RELAYS, PARTITIONS, STREAMS, ROUNDS = 3, 4, 20, 3


@pytest.fixture(params=BROKERS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FourServices]:
    with four_services(request.param, tmp_path) as made:
        yield made


def split(shop: FourServices, partitions: int) -> None:
    services.manage(
        "shipping", shop.shared, "whizbang", "partitions", TOPIC, "--count", str(partitions)
    )


def write(shop: FourServices, round: int) -> None:
    first = round * EVENTS_OF_EACH + 1
    shop.ask("shipping", "tests.example.stream_writer", str(first), str(STREAMS))


def received(shop: FourServices) -> int:
    return int(shop.report("orders")["events"].get(EVENT, 0))


def test_relays_that_share_a_topic_and_die_keep_each_stream_in_order(shop: FourServices) -> None:
    small = {"EXAMPLE_BATCH_SIZE": "7"}
    with ExitStack() as stack:
        relays = {str(n): shop.start_worker("shipping", **small) for n in range(RELAYS)}
        stack.callback(services.stop_all, relays)
        stack.enter_context(shop.running("orders", **small))
        write(shop, 0)
        split(shop, PARTITIONS)  # amid the first events
        wait_until(lambda: len(shop.report("shipping")["relays"]) == RELAYS)
        for round in range(1, ROUNDS):
            write(shop, round)
            victim = str(round % RELAYS)
            relays[victim].kill()
            relays[victim].wait()
            relays[victim] = shop.start_worker("shipping", **small)
        split(shop, 1)  # they become one again
        write(shop, ROUNDS)
        expected = (ROUNDS + 1) * STREAMS * EVENTS_OF_EACH
        wait_until(lambda: received(shop) == expected)
    found = shop.report("orders")
    assert found["misplaced"] == []
    assert {lane for domain, lane in found["lanes"] if domain == "shipping" and lane} != set()
    check_nothing_left(found, "orders")
