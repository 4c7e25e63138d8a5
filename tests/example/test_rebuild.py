"""The example's projections rebuilt from the events of real orders, against a fold without any of our engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import whizbang
from projects.example.fates import Fate, fate_of
from projects.example.inventory.messages import InventoryReserved
from projects.example.orders.messages import OrderCancelled, OrderPlaced
from projects.example.orders.models import Customer, SalesDay, TrackedOrder
from projects.example.payments.messages import PaymentCharged
from projects.example.shipping.messages import OrderShipped
from tests.marks import soak_on
from whizbang.models import Rebuild
from whizbang.operations.rebuild import request_rebuild
from whizbang.testing import drain

pytestmark = pytest.mark.django_db(transaction=True)
NAMES = ("orders.SalesByDay", "orders.Customers", "orders.OrderProgress")
STEPS = {
    InventoryReserved: "reserved",
    PaymentCharged: "charged",
    OrderShipped: "shipped",
    OrderCancelled: "cancelled",
}
Rows = dict[Any, dict[str, Any]]


@pytest.mark.usefixtures("no_tables_of_rebuilds")
@pytest.mark.parametrize("limit", [400, pytest.param(None, marks=pytest.mark.soak)])
@soak_on("postgres")
def test_rebuilt_rows_equal_an_offline_fold(
    cdnow_path: Path, run_import: Callable[..., str], limit: int | None, settings: Any
) -> None:
    settings.EXAMPLE = {"FAILURES": {"out_of_stock": 0.03, "cancelled": 0.03}}
    run_import(cdnow_path, limit=limit)
    spoil()
    for name in NAMES:
        request_rebuild(name)
    drain()
    assert set(Rebuild.objects.values_list("status", "error")) == {("done", "")}
    days, customers, orders = fold()
    assert len(orders) >= (limit or 69_659)
    doomed = [order_id for order_id in orders if fate_of(order_id) is not Fate.DELIVERED]
    assert doomed == [key for key, row in orders.items() if row["status"] == "cancelled"]
    assert rows_of(SalesDay) == days
    assert rows_of(Customer) == customers
    assert rows_of(TrackedOrder) == orders


def spoil() -> None:
    """Wrong rows, rows too few and rows too many: what is right afterwards was made by the rebuild."""
    SalesDay.objects.update(cds=1)
    SalesDay.objects.create(day="2020-01-01")
    Customer.objects.all().delete()
    TrackedOrder.objects.update(status="placed", shipped_at=None, cancel_reason="wrong")


def rows_of(model: Any) -> Rows:
    return {row.pop(model._meta.pk.name): row for row in model.objects.values()}


def fold() -> tuple[Rows, Rows, Rows]:
    """Sales by day, customers and orders: from the log, event by event, into plain dicts."""
    days: Rows = {}
    customers: Rows = {}
    orders: Rows = {}
    for event, meta in whizbang.event_store().read_all(limit=None):
        if isinstance(event, OrderPlaced | OrderCancelled):
            sign = 1 if isinstance(event, OrderPlaced) else -1
            for rows, key in ((days, meta.occurred_at.date()), (customers, event.customer_id)):
                row = rows.setdefault(key, {"orders": 0, "cds": 0, "value": 0})
                row["orders"] += sign
                row["cds"] += sign * event.quantity
                row["value"] += sign * event.total
        if isinstance(event, OrderPlaced):
            orders[event.order_id] = {
                "customer_id": event.customer_id,
                "quantity": event.quantity,
                "total": event.total,
                "currency": event.currency,
                "ordered_at": meta.occurred_at,
                "status": "placed",
                "cancel_reason": "",
                **dict.fromkeys(f"{step}_at" for step in STEPS.values()),
            }
        elif type(event) in STEPS:
            step = STEPS[type(event)]
            order = orders[event.order_id]
            order[f"{step}_at"] = meta.recorded_at
            order["status"] = max(order["status"], step, key=["placed", *STEPS.values()].index)
            order["cancel_reason"] = getattr(event, "reason", order["cancel_reason"])
    return days, customers, orders
