"""The rules of one order. It decides by itself whether it is shipped or cancelled, whoever asks first."""

from __future__ import annotations

from decimal import Decimal

from projects.example.orders.messages import Line, OrderCancelled, OrderConfirmed, OrderPlaced
from whizbang import Aggregate, Rejected, applies

CURRENCY = "USD"


class OrderAlreadyPlaced(Rejected):
    def __init__(self, order_id: str) -> None:
        super().__init__(f"Order {order_id} was placed already: give the new one an id of its own.")


class OrderNotPlaced(Rejected):
    def __init__(self, order_id: str, status: str) -> None:
        super().__init__(f"Order {order_id} is {status}: only a placed order can be cancelled.")


class Order(Aggregate):
    status: str = "new"
    customer_id: str = ""
    quantity: int = 0
    total: Decimal = Decimal(0)
    currency: str = ""

    def place(self, *, customer_id: str, lines: list[Line]) -> None:
        if self.status != "new":
            raise OrderAlreadyPlaced(self.id)
        self.record(
            OrderPlaced(
                order_id=self.id,
                customer_id=customer_id,
                lines=lines,
                quantity=sum(line.quantity for line in lines),
                total=sum((line.amount for line in lines), Decimal(0)),
                currency=CURRENCY,
            )
        )

    def confirm(self) -> None:
        if self.status == "placed":
            self.record(OrderConfirmed(order_id=self.id))

    def cancel(self, *, reason: str) -> None:
        if self.status != "placed":
            raise OrderNotPlaced(self.id, self.status)
        self._record_cancelled(reason)

    def give_up(self, *, reason: str) -> None:
        if self.status == "placed":
            self._record_cancelled(reason)

    def _record_cancelled(self, reason: str) -> None:
        self.record(
            OrderCancelled(
                order_id=self.id,
                customer_id=self.customer_id,
                quantity=self.quantity,
                total=self.total,
                currency=self.currency,
                reason=reason,
            )
        )

    @applies(OrderPlaced)
    def _placed(self, event: OrderPlaced) -> None:
        self.status = "placed"
        self.customer_id = event.customer_id
        self.quantity = event.quantity
        self.total = event.total
        self.currency = event.currency

    @applies(OrderConfirmed)
    def _confirmed(self, event: OrderConfirmed) -> None:
        self.status = "confirmed"

    @applies(OrderCancelled)
    def _cancelled(self, event: OrderCancelled) -> None:
        self.status = "cancelled"
