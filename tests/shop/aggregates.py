from __future__ import annotations

from decimal import Decimal

from tests.shop.messages import Line, OrderGone, OrderNoted, OrderOpened
from whizbang import Aggregate, Rejected, applies


class OrderOpenAlready(Rejected):
    pass


class Order(Aggregate):
    status: str = "new"
    notes: list[str] = []

    def open(self, customer_id: str, lines: list[Line]) -> None:
        if self.status != "new":
            raise OrderOpenAlready(self.id)
        total = sum((line.amount for line in lines), Decimal(0))
        self.record(
            OrderOpened(order_id=self.id, customer_id=customer_id, total=total, currency="EUR")
        )

    @applies(OrderOpened)
    def _opened(self, event: OrderOpened) -> None:
        self.status = "open"

    @applies(OrderGone)
    def _gone(self, event: OrderGone) -> None:
        self.status = "gone"

    @applies(OrderNoted)
    def _noted(self, event: OrderNoted) -> None:
        self.notes.append(event.text)
