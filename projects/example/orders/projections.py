"""From events to the read models."""

from __future__ import annotations

from datetime import date

from projects.example.inventory.messages import InventoryReserved
from projects.example.orders.messages import OrderCancelled, OrderPlaced
from projects.example.orders.models import Customer, SalesDay, TrackedOrder
from projects.example.payments.messages import PaymentCharged
from projects.example.shipping.messages import OrderShipped
from whizbang import Event, Metadata, ModelProjection, on

Status = TrackedOrder.Status


def business_day(event: Event, meta: Metadata) -> date:
    """The day on which it happened, which for imported orders is long before it was recorded."""
    return meta.occurred_at.date()


def add_order(row: SalesDay | Customer, event: OrderPlaced) -> None:
    row.orders += 1
    row.cds += event.quantity
    row.value += event.total


def take_back_order(row: SalesDay | Customer, event: OrderCancelled) -> None:
    row.orders -= 1
    row.cds -= event.quantity
    row.value -= event.total


class SalesByDay(ModelProjection):
    """A cancellation counts on the day it happens: days already reported stay as they are."""

    model = SalesDay

    @on(OrderPlaced, by=business_day)
    def placed(self, row: SalesDay, event: OrderPlaced, meta: Metadata) -> None:
        add_order(row, event)

    @on(OrderCancelled, by=business_day)
    def cancelled(self, row: SalesDay, event: OrderCancelled, meta: Metadata) -> None:
        take_back_order(row, event)


class Customers(ModelProjection):
    model = Customer

    @on(OrderPlaced, by="customer_id")
    def placed(self, row: Customer, event: OrderPlaced, meta: Metadata) -> None:
        add_order(row, event)

    @on(OrderCancelled, by="customer_id")
    def cancelled(self, row: Customer, event: OrderCancelled, meta: Metadata) -> None:
        take_back_order(row, event)


class OrderProgress(ModelProjection):
    """Follows an order through all four domains."""

    model = TrackedOrder
    version = 2  # keeps why an order was cancelled

    @on(OrderPlaced, by="order_id")
    def placed(self, row: TrackedOrder, event: OrderPlaced, meta: Metadata) -> None:
        row.customer_id = event.customer_id
        row.quantity = event.quantity
        row.total = event.total
        row.currency = event.currency
        row.ordered_at = meta.occurred_at

    @on(InventoryReserved, by="order_id")
    def reserved(self, row: TrackedOrder, event: InventoryReserved, meta: Metadata) -> None:
        row.reserved_at = meta.recorded_at
        advance(row, Status.RESERVED)

    @on(PaymentCharged, by="order_id")
    def charged(self, row: TrackedOrder, event: PaymentCharged, meta: Metadata) -> None:
        row.charged_at = meta.recorded_at
        advance(row, Status.CHARGED)

    @on(OrderShipped, by="order_id")
    def shipped(self, row: TrackedOrder, event: OrderShipped, meta: Metadata) -> None:
        row.shipped_at = meta.recorded_at
        advance(row, Status.SHIPPED)

    @on(OrderCancelled, by="order_id")
    def cancelled(self, row: TrackedOrder, event: OrderCancelled, meta: Metadata) -> None:
        row.cancelled_at = meta.recorded_at
        row.cancel_reason = event.reason
        advance(row, Status.CANCELLED)


def advance(row: TrackedOrder, status: Status) -> None:
    """Only forwards: the domains' events are in order each, but not among each other."""
    row.status = max(Status(row.status), status, key=list(Status).index)
