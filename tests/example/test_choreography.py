from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

import whizbang
from projects.example.orders.messages import CancelOrder, GetOrder, Line, PlaceOrder
from projects.example.orders.models import Customer, SalesDay, TrackedOrder
from projects.example.payments.messages import PaymentCharged
from tests.example.conftest import statuses

ORDER = PlaceOrder(
    order_id="17",
    customer_id="c-1",
    lines=[
        Line(sku="CD", quantity=2, amount=Decimal("20.50")),
        Line(sku="LP", quantity=1, amount=Decimal("9.99")),
    ],
)


def event_types() -> Counter[str]:
    return Counter(recorded.meta.type for recorded in whizbang.event_store().read_all(limit=10_000))


@pytest.fixture
def clerk(db: None) -> User:
    """Somebody who may cancel orders."""
    user = User.objects.create_user("clerk")
    user.user_permissions.add(Permission.objects.get(codename="cancel_order"))
    return user


@pytest.mark.parametrize("mode", ["durable", "batched"])
def test_real_orders_run_through_all_domains_once(
    cdnow_path: Path, run_import: Callable[..., str], settings: Any, mode: str
) -> None:
    settings.WHIZBANG = {"MODES": dict.fromkeys(("inventory", "payments", "shipping"), mode)}

    run_import(cdnow_path, limit=300, batch_size=120)

    assert Counter(statuses().values()) == {"shipped": 300}
    assert event_types() == {
        "orders.OrderPlaced": 300,
        "inventory.InventoryReserved": 300,
        "payments.PaymentCharged": 300,
        "shipping.OrderShipped": 300,
    }
    charged = whizbang.event_store().read_all(types=["payments.PaymentCharged"])
    amounts = [r.event.amount for r in charged if isinstance(r.event, PaymentCharged)]
    assert sum(amounts) == sum(order.total for order in TrackedOrder.objects.all())


@pytest.mark.django_db
def test_events_of_one_order_share_correlation_and_business_time(
    drain: Callable[[], object],
) -> None:
    whizbang.send(ORDER)
    drain()

    metas = [recorded.meta for recorded in whizbang.event_store().read_all()]
    assert len(metas) == 4
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


def test_order_cancelled_after_the_flow_is_refunded_and_taken_out_of_sales(
    clerk: User, drain: Callable[[], object]
) -> None:
    whizbang.send(ORDER)
    drain()

    whizbang.send(CancelOrder(order_id="17", reason="broken"), user=clerk)
    drain()

    refund = list(whizbang.event_store().read_stream("payments.Payment-17"))[-1]
    assert (refund.meta.type, refund.event.amount) == ("payments.PaymentRefunded", Decimal("30.49"))
    assert statuses() == {"17": "cancelled"}
    for row in (SalesDay.objects.get(), Customer.objects.get()):
        assert (row.orders, row.cds, row.value) == (0, 0, Decimal(0))


@pytest.mark.django_db
def test_only_who_may_cancels_orders() -> None:
    whizbang.send(ORDER)
    nobody = User.objects.create_user("nobody")

    for user in (None, nobody):
        with pytest.raises(whizbang.NotAuthorized, match=r"orders\.cancel_order"):
            whizbang.send(CancelOrder(order_id="17"), user=user)

    assert event_types() == {"orders.OrderPlaced": 1}
