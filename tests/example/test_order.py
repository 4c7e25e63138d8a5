"""The rules of an order, of a reservation, a payment and a shipment, without a database."""

from __future__ import annotations

from decimal import Decimal

import pytest

from projects.example.inventory.aggregates import Reservation
from projects.example.inventory.messages import (
    InventoryRefused,
    InventoryReleased,
    InventoryReserved,
    ReleaseInventory,
    ReserveInventory,
)
from projects.example.orders.aggregates import Order, OrderAlreadyPlaced, OrderNotPlaced
from projects.example.orders.messages import (
    CancelOrder,
    ConfirmOrder,
    GiveUpOrder,
    Line,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    PlaceOrder,
)
from projects.example.payments.aggregates import Payment
from projects.example.payments.messages import (
    ChargePayment,
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
    RefundPayment,
)
from projects.example.shipping.aggregates import Shipment
from projects.example.shipping.messages import OrderShipped, ShipOrder
from whizbang import Command, Event
from whizbang.testing import Scenario

LINES = [
    Line(sku="CD", quantity=2, amount=Decimal("20.50")),
    Line(sku="LP", quantity=1, amount=Decimal("9.99")),
]
PLACE = PlaceOrder(order_id="17", customer_id="c-1", lines=LINES)
PLACED = OrderPlaced(
    order_id="17",
    customer_id="c-1",
    lines=LINES,
    quantity=3,
    total=Decimal("30.49"),
    currency="USD",
)
CANCELLED = OrderCancelled(
    order_id="17",
    customer_id="c-1",
    quantity=3,
    total=Decimal("30.49"),
    currency="USD",
    reason="changed my mind",
)
RESERVE = ReserveInventory(order_id="17", quantity=3, total=Decimal("30.49"), currency="USD")
RESERVED = InventoryReserved(order_id="17", quantity=3, total=Decimal("30.49"), currency="USD")
RELEASE = ReleaseInventory(order_id="17")
CHARGE = ChargePayment(order_id="17", amount=Decimal("30.49"), currency="USD")
CHARGED = PaymentCharged(order_id="17", amount=Decimal("30.49"), currency="USD")
REFUND = RefundPayment(order_id="17")
SHIP, SHIPPED = ShipOrder(order_id="17"), OrderShipped(order_id="17")
CONFIRM, CONFIRMED = ConfirmOrder(order_id="17"), OrderConfirmed(order_id="17")
REFUSED, DECLINED = InventoryRefused(order_id="17"), PaymentDeclined(order_id="17")
GIVE_UP = GiveUpOrder(order_id="17", reason="changed my mind")


def test_order_adds_up_its_lines() -> None:
    scenario = Scenario(Order, "17").when(PLACE).then(PLACED)

    assert scenario.result == "17"


def test_order_is_placed_once() -> None:
    Scenario(Order, "17").given(PLACED).when(PLACE).raises(OrderAlreadyPlaced)


def test_cancelled_order_says_what_is_taken_back() -> None:
    cancel = CancelOrder(order_id="17", reason="changed my mind")

    Scenario(Order, "17").given(PLACED).when(cancel).then(CANCELLED)


def test_order_is_cancelled_once() -> None:
    cancel = CancelOrder(order_id="17")

    Scenario(Order, "17").given(PLACED, CANCELLED).when(cancel).raises(OrderNotPlaced)


@pytest.mark.parametrize(
    ("given", "command", "expected"),
    [
        ([], CONFIRM, [CONFIRMED]),
        ([CONFIRMED], CONFIRM, []),
        ([CANCELLED], CONFIRM, []),
        ([], GIVE_UP, [CANCELLED]),
        ([CANCELLED], GIVE_UP, []),
        ([CONFIRMED], GIVE_UP, []),
    ],
)
def test_order_is_confirmed_or_given_up(
    given: list[Event], command: Command[None], expected: list[Event]
) -> None:
    Scenario(Order, "17").given(PLACED, *given).when(command).then(*expected)


def test_confirmed_order_is_not_cancelled() -> None:
    cancel = CancelOrder(order_id="17")

    Scenario(Order, "17").given(PLACED, CONFIRMED).when(cancel).raises(OrderNotPlaced)


def test_order_of_the_first_schema_was_in_dollars() -> None:
    old = {"order_id": "17", "customer_id": "c-1", "lines": [], "quantity": 3, "total": "30.49"}

    assert OrderPlaced.__whizbang__.upcast(old, 1) == {**old, "currency": "USD"}
    assert OrderPlaced.__whizbang__.schema == 2


@pytest.mark.parametrize(
    ("given", "command", "expected"),
    [
        ([], RESERVE, [RESERVED]),
        ([RESERVED], RESERVE, []),
        ([RESERVED], RELEASE, [InventoryReleased(order_id="17", quantity=3)]),
        ([], RELEASE, [InventoryReleased(order_id="17", quantity=0)]),
        ([InventoryReleased(order_id="17", quantity=0)], RESERVE, []),
        ([InventoryReleased(order_id="17", quantity=0)], RELEASE, []),
        ([REFUSED], RESERVE, []),
        ([REFUSED], RELEASE, []),
    ],
)
def test_reservation(given: list[Event], command: Command[None], expected: list[Event]) -> None:
    Scenario(Reservation, "17").given(*given).when(command).then(*expected)


@pytest.mark.parametrize(
    ("given", "command", "expected"),
    [
        ([], CHARGE, [CHARGED]),
        ([CHARGED], CHARGE, []),
        ([CHARGED], REFUND, [PaymentRefunded(order_id="17", amount=Decimal("30.49"))]),
        ([], REFUND, [PaymentRefunded(order_id="17", amount=Decimal(0))]),
        ([PaymentRefunded(order_id="17", amount=Decimal(0))], CHARGE, []),
        ([PaymentRefunded(order_id="17", amount=Decimal(0))], REFUND, []),
        ([DECLINED], CHARGE, []),
        ([DECLINED], REFUND, []),
    ],
)
def test_payment(given: list[Event], command: Command[None], expected: list[Event]) -> None:
    Scenario(Payment, "17").given(*given).when(command).then(*expected)


@pytest.mark.parametrize(
    ("given", "command", "expected"),
    [
        ([], SHIP, [SHIPPED]),
        ([SHIPPED], SHIP, []),
    ],
)
def test_shipment(given: list[Event], command: Command[None], expected: list[Event]) -> None:
    Scenario(Shipment, "17").given(*given).when(command).then(*expected)
