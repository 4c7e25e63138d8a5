"""The process of an order, written as a saga and as choreography: what holds for one holds for the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import Permission, User

import whizbang
from projects.example.fates import Fate, fate_of
from projects.example.orders.aggregates import OrderNotPlaced
from projects.example.orders.messages import (
    CancelOrder,
    ConfirmOrder,
    GetOrder,
    Line,
    PlaceOrder,
)
from projects.example.orders.models import Customer, SalesDay, TrackedOrder
from projects.example.orders.reporting import find_outcomes
from tests.example.books import (
    SHARES,
    check_sums,
    commands_sent_twice,
    expect_books,
    keep_books,
)
from tests.example.conftest import statuses
from whizbang.models import DeadLetter, ParkedStream

Run = Callable[..., str]
ORDER = PlaceOrder(
    order_id="17",
    customer_id="c-1",
    lines=[
        Line(sku="CD", quantity=2, amount=Decimal("20.50")),
        Line(sku="LP", quantity=1, amount=Decimal("9.99")),
    ],
)


def event_types() -> Counter[str]:
    """Without the saga's own."""
    types = (recorded.meta.type for recorded in whizbang.event_store().read_all(limit=10_000))
    return Counter(name for name in types if not name.startswith("whizbang."))


@pytest.fixture
def clerk(db: None) -> User:
    """Somebody who may cancel orders."""
    user = User.objects.create_user("clerk")
    user.user_permissions.add(Permission.objects.get(codename="cancel_order"))
    return user


@pytest.fixture
def failures(settings: Any) -> Iterator[None]:
    """About half of the orders fail, each in one of the four ways."""
    settings.EXAMPLE = {"FAILURES": SHARES}
    yield


@pytest.mark.usefixtures("failures", "process")
@pytest.mark.parametrize("mode", ["durable", "batched"])
def test_real_orders_come_to_what_the_file_and_their_fates_say(
    cdnow_path: Path, run_import: Run, drain: Callable[..., object], settings: Any, mode: str
) -> None:
    orders = 400 if mode == "batched" else 100
    domains = ("inventory", "payments", "shipping", "orders.ConfirmOrder", "orders.GiveUpOrder")
    settings.WHIZBANG = {"MODES": dict.fromkeys(domains, mode)}

    run_import(cdnow_path, limit=orders, batch_size=120)
    drain(advance=timedelta(days=2))

    books = keep_books(event for event, _ in whizbang.event_store().read_all(limit=None))
    assert books == expect_books(cdnow_path, orders=orders)
    assert len({account.order for account in books.values()}) == 5
    check_sums(books)
    assert commands_sent_twice() == []
    assert not DeadLetter.objects.exists() and not ParkedStream.objects.exists()
    kept = sum(account.kept for account in books.values())
    assert kept == sum(day.value for day in SalesDay.objects.all())
    assert kept == sum(row.total for row in TrackedOrder.objects.filter(status="shipped"))


@pytest.mark.django_db
def test_command_that_is_sent_twice_is_noticed() -> None:
    for order_id in ("17", "18", "17"):
        whizbang.publish(ConfirmOrder(order_id=order_id))

    assert commands_sent_twice() == ["orders.ConfirmOrder"]


@pytest.mark.usefixtures("process")
def test_real_orders_that_nothing_happens_to_run_through_all_domains_once(
    cdnow_path: Path, run_import: Run
) -> None:
    run_import(cdnow_path, limit=100)

    assert Counter(statuses().values()) == {"shipped": 100}
    assert event_types() == {
        "orders.OrderPlaced": 100,
        "inventory.InventoryReserved": 100,
        "payments.PaymentCharged": 100,
        "orders.OrderConfirmed": 100,
        "shipping.OrderShipped": 100,
    }


@pytest.mark.usefixtures("failures", "process")
def test_orders_tell_why_they_were_cancelled(drain: Callable[..., object]) -> None:
    for number in range(100):
        whizbang.send(msgspec.structs.replace(ORDER, order_id=f"{number}"))
    drain()
    drain(advance=timedelta(days=2))

    outcomes = {str(outcome): outcome.orders for outcome in find_outcomes()}
    fates = Counter(fate_of(f"{number}") for number in range(100))
    assert len(fates) == 5
    assert outcomes == {
        "Shipped": fates[Fate.DELIVERED],
        "Cancelled: out of stock": fates[Fate.OUT_OF_STOCK],
        "Cancelled: the payment was declined": fates[Fate.DECLINED],
        "Cancelled: not paid in time": fates[Fate.UNANSWERED],
        "Cancelled: the customer changed their mind": fates[Fate.CANCELLED],
    }


@pytest.mark.usefixtures("process")
def test_events_of_one_order_share_correlation_and_business_time(
    drain: Callable[[], object],
) -> None:
    whizbang.send(ORDER)
    drain()

    found = whizbang.event_store().read_all()
    metas = [r.meta for r in found if not r.meta.type.startswith("whizbang.")]
    assert len(metas) == 5
    assert len({meta.correlation_id for meta in metas}) == 1
    assert len({meta.occurred_at for meta in metas}) == 1


@pytest.mark.django_db
def test_order_answers_how_far_it_has_come(drain: Callable[[], object]) -> None:
    whizbang.send(ORDER)
    drain()

    order = whizbang.query(GetOrder(order_id="17"))

    assert (order.status, order.quantity, order.total) == ("shipped", 3, Decimal("30.49"))
    with pytest.raises(whizbang.Rejected, match="There is no order 18"):
        whizbang.query(GetOrder(order_id="18"))


@pytest.mark.usefixtures("process")
def test_order_cancelled_before_the_flow_is_neither_charged_nor_shipped(
    clerk: User, drain: Callable[[], object]
) -> None:
    whizbang.send(ORDER)
    whizbang.send(CancelOrder(order_id="17", reason="too late"), user=clerk)

    drain()

    assert statuses() == {"17": "cancelled"}
    assert event_types().keys().isdisjoint({"payments.PaymentCharged", "shipping.OrderShipped"})
    reservation = list(whizbang.event_store().read_stream("inventory.Reservation-17"))[-1]
    assert reservation.meta.type == "inventory.InventoryReleased"


@pytest.mark.usefixtures("process")
def test_order_cancelled_when_it_is_paid_already_is_refunded_and_taken_out_of_sales(
    drain: Callable[[], object], settings: Any
) -> None:
    settings.EXAMPLE = {"FAILURES": {"cancelled": 1}}
    whizbang.send(ORDER)
    drain()

    refund = list(whizbang.event_store().read_stream("payments.Payment-17"))[-1]
    assert (refund.meta.type, refund.event.amount) == ("payments.PaymentRefunded", Decimal("30.49"))
    assert statuses() == {"17": "cancelled"}
    for row in (SalesDay.objects.get(), Customer.objects.get()):
        assert (row.orders, row.cds, row.value) == (0, 0, Decimal(0))


@pytest.mark.usefixtures("process")
def test_order_that_is_confirmed_cannot_be_cancelled(
    clerk: User, drain: Callable[[], object]
) -> None:
    whizbang.send(ORDER)
    drain()

    with pytest.raises(OrderNotPlaced, match="Order 17 is confirmed"):
        whizbang.send(CancelOrder(order_id="17", reason="broken"), user=clerk)

    assert statuses() == {"17": "shipped"}


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize("answer", ["declined", "unanswered"])
def test_customer_and_shop_may_both_give_an_order_up(
    clerk: User, drain: Callable[..., object], settings: Any, answer: str
) -> None:
    """Whoever is first says why; the other finds it done, and nothing becomes a dead letter."""
    settings.EXAMPLE = {"FAILURES": {answer: 1}}
    whizbang.send(ORDER)
    drain()
    if answer == "unanswered":
        whizbang.send(CancelOrder(order_id="17", reason="broken"), user=clerk)
    drain(advance=timedelta(days=2))

    (account,) = keep_books(event for event, _ in whizbang.event_store().read_all()).values()
    assert account.order.startswith("cancelled")
    assert (account.held, account.kept, account.reservation) == (0, 0, "released")
    assert event_types()["orders.OrderCancelled"] == 1
    assert not DeadLetter.objects.exists() and not ParkedStream.objects.exists()


@pytest.mark.django_db
def test_only_who_may_cancels_orders() -> None:
    whizbang.send(ORDER)
    nobody = User.objects.create_user("nobody")

    for user in (None, nobody):
        with pytest.raises(whizbang.NotAuthorized, match=r"orders\.cancel_order"):
            whizbang.send(CancelOrder(order_id="17"), user=user)

    assert event_types() == {"orders.OrderPlaced": 1}
