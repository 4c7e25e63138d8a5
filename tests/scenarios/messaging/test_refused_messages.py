"""Scenario 21: what cannot be sent or stored becomes a dead letter with the reason, and the queue goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pika
import pytest

from tests.example.four_services import TYPES, FourServices, four_services
from tests.processes import wait_until
from tests.services import RABBITMQ_URL
from whizbang.drivers.brokers.base import Broker, BrokerMessage, Topology
from whizbang.drivers.brokers.rabbitmq import RabbitMQBroker
from whizbang.drivers.brokers.rabbitmq.names import Names
from whizbang.testing.conformance import broker as suite

pytestmark = pytest.mark.requires_postgres
NARROW = {"DJANGO_SETTINGS_MODULE": "tests.example.narrow_settings"}
LINE = {"sku": "CD", "quantity": 1, "amount": "9.99"}
CLOUDEVENT = "application/cloudevents+json"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[FourServices]:
    with four_services("rabbitmq", tmp_path) as made:
        yield made


@pytest.fixture
def shipping(shop: FourServices) -> Iterator[Broker]:
    """The broker as another service uses it, whose code does not do as ours does."""
    options = {"url": RABBITMQ_URL, "prefix": shop.prefix}
    broker = RabbitMQBroker(using="default", options=options)
    peers = {"orders": ["inventory", "payments", "shipping"]}
    broker.declare(Topology(service="shipping", owns=["shipping"], listens_to=[], peers=peers))
    yield broker
    broker.close()


@pytest.fixture
def channel() -> Iterator[Any]:
    """Of plain pika, as a program that knows nothing of us would have it."""
    connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ_URL))
    yield connection.channel()
    connection.close()


def order(number: int, *, lines: int = 1, type: str = "orders.PlaceOrder") -> BrokerMessage:
    content = {"order_id": f"sent-{number}", "customer_id": "remote", "lines": [LINE] * lines}
    return written_by_shipping(
        suite.command("orders", type=type, payload=msgspec.json.encode(content), ordering_key="one")
    )


def shipped(*, stream: str = "shipping.Shipment-1") -> BrokerMessage:
    content = msgspec.json.encode({"order_id": "1"})
    return written_by_shipping(
        suite.event("shipping", type="shipping.OrderShipped", stream=stream, payload=content)
    )


def written_by_shipping(message: BrokerMessage) -> BrokerMessage:
    metadata = msgspec.structs.replace(message.metadata, service="shipping")
    return msgspec.structs.replace(message, metadata=metadata)


def reasons(shop: FourServices, service: str) -> list[str]:
    return [letter.partition(":")[0] for letter in shop.report(service)["dead"]]


def test_what_a_service_cannot_store_is_set_aside_and_what_is_behind_it_is_handled(
    shop: FourServices, shipping: Broker, channel: Any
) -> None:
    names = Names(shop.prefix)

    def send_raw(exchange: str, key: str, body: bytes, content_type: str) -> None:
        channel.basic_publish(exchange, key, body, pika.BasicProperties(content_type=content_type))

    foreign = suite.event("inventory", type="inventory.InventoryReserved", stream="inventory.A-1")
    wrong = [
        lambda: suite.publish(shipping, order(0, lines=60)),
        lambda: send_raw(names.services, "orders", b'{"specversion": "1.0"', CLOUDEVENT),
        lambda: send_raw(names.services, "orders", b"\xff\x00", "text/plain"),
        lambda: suite.publish(shipping, order(0, type="orders.Unheard")),
        lambda: suite.publish(shipping, order(0, type="payments.ChargePayment")),
        lambda: send_raw(names.events, "inventory.Odd", b"[]", CLOUDEVENT),
        lambda: suite.publish(shipping, written_by_shipping(foreign)),
        lambda: suite.publish(shipping, shipped(stream="")),
    ]
    with shop.running("orders", **NARROW):
        for number, send_wrong in enumerate(wrong):
            send_wrong()
            suite.publish(shipping, order(number))
        suite.publish(shipping, shipped())
        wait_until(lambda: len(reasons(shop, "orders")) == len(wrong))
        wait_until(lambda: shop.report("orders")["events"].get(TYPES["shipping"], 0) == 1)
        wait_until(lambda: len(shop.report("orders")["streams"]) == len(wrong))
    found = shop.report("orders")
    assert found["streams"] == [f"orders.Order-sent-{number}" for number in range(len(wrong))]
    assert (found["unhandled"], found["parked"], found["gaps"]) == (0, [], [])
    assert sorted(reasons(shop, "orders")) == [
        *["Malformed"] * 4,
        "TooLarge",
        "UnknownMessageType",
        *["WrongOwner"] * 2,
    ]


def test_what_the_broker_returns_or_finds_too_large_is_a_dead_letter_of_its_sender(
    shop: FourServices, channel: Any
) -> None:
    with shop.running("shipping", **NARROW):
        shop.ask("shipping", "tests.example.order_sender", "0", "2")
        wait_until(lambda: shop.report("shipping")["unsent"] == 0)
        channel.queue_delete(Names(shop.prefix).queue_of("orders"))
        shop.ask("shipping", "tests.example.order_sender", "2", "1")  # nobody takes it
        wait_until(lambda: len(reasons(shop, "shipping")) == 1)
        with shop.running("orders"):  # it makes its queue again
            shop.ask("shipping", "tests.example.order_sender", "3", "1", "long")
            shop.ask("shipping", "tests.example.order_sender", "4", "3")
            wait_until(lambda: shop.report("orders")["events"].get(TYPES["orders"], 0) == 3)
            wait_until(lambda: len(reasons(shop, "shipping")) == 2)
    found = shop.report("shipping")
    too_large, returned = sorted(found["dead"])
    assert "No queue takes what is for the service 'orders'" in returned
    assert "max_message_bytes" in too_large
    assert shop.report("orders")["streams"] == [f"orders.Order-sent-{n}" for n in (4, 5, 6)]
    assert found["unsent"] == 0
