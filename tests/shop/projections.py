from __future__ import annotations

from tests.shop.messages import OrderGone, OrderNoted, OrderOpened
from tests.shop.models import CustomerTotal, OrderSummary
from whizbang import DELETE, Metadata, ModelProjection, on


class OrderSummaries(ModelProjection):
    model = OrderSummary

    @on(OrderOpened, by="order_id")
    def opened(self, row: OrderSummary, event: OrderOpened, meta: Metadata) -> None:
        row.status, row.total = "open", event.total

    @on(OrderNoted, by="order_id")
    def noted(self, row: OrderSummary, event: OrderNoted, meta: Metadata) -> object:
        if event.text == "poison" and row.status != "cured":
            raise ValueError("This note cannot be projected.")
        if event.text == "delete":
            return DELETE
        row.notes += 1
        return None

    @on(OrderGone, by="order_id")
    def gone(self, row: OrderSummary, event: OrderGone, meta: Metadata) -> None:
        row.status = "gone"


class CustomerTotals(ModelProjection):
    model = CustomerTotal
    delivery = "inline"

    @on(OrderOpened, by="customer_id")
    def opened(self, row: CustomerTotal, event: OrderOpened, meta: Metadata) -> None:
        row.orders += 1
