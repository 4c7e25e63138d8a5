"""From an order to its parcel: who is asked for what, and what is undone when it does not come to that."""

from __future__ import annotations

from projects.example.inventory.messages import (
    InventoryRefused,
    InventoryReserved,
    ReleaseInventory,
    ReserveInventory,
)
from projects.example.orders.messages import (
    DECLINED,
    OUT_OF_STOCK,
    UNPAID,
    ConfirmOrder,
    GiveUpOrder,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
)
from projects.example.payments.messages import (
    ChargePayment,
    PaymentCharged,
    PaymentDeclined,
    RefundPayment,
)
from projects.example.process import SAGA, chosen, unpaid_after
from projects.example.shipping.messages import OrderShipped, ShipOrder
from whizbang import Saga, on, on_timeout, starts_on


class OrderFulfillment(Saga):
    """What undoes a step is said when the step is asked for, not when it is done: its answer may come too late.

    Whether an order is cancelled its own aggregate says, and no one else: the saga asks, and goes back when it hears so.
    """

    abstract = chosen() != SAGA

    order_id: str

    @starts_on(OrderPlaced, by="order_id")
    def placed(self, event: OrderPlaced) -> None:
        self.compensate_with(ReleaseInventory(order_id=self.order_id))
        self.send(
            ReserveInventory(
                order_id=self.order_id,
                quantity=event.quantity,
                total=event.total,
                currency=event.currency,
            )
        )
        self.timeout("unpaid", after=unpaid_after())

    @on(InventoryReserved, by="order_id")
    def reserved(self, event: InventoryReserved) -> None:
        self.compensate_with(RefundPayment(order_id=self.order_id))
        self.send(
            ChargePayment(order_id=self.order_id, amount=event.total, currency=event.currency)
        )

    @on(PaymentCharged, by="order_id")
    def charged(self, event: PaymentCharged) -> None:
        self.cancel_timeout("unpaid")
        self.send(ConfirmOrder(order_id=self.order_id))

    @on(OrderConfirmed, by="order_id")
    def confirmed(self, event: OrderConfirmed) -> None:
        self.send(ShipOrder(order_id=self.order_id))

    @on(OrderShipped, by="order_id")
    def shipped(self, event: OrderShipped) -> None:
        self.complete()

    @on(InventoryRefused, by="order_id")
    def refused(self, event: InventoryRefused) -> None:
        self._give_up(OUT_OF_STOCK)

    @on(PaymentDeclined, by="order_id")
    def declined(self, event: PaymentDeclined) -> None:
        self._give_up(DECLINED)

    @on_timeout("unpaid")
    def unpaid(self) -> None:
        self._give_up(UNPAID)

    @on(OrderCancelled, by="order_id")
    def cancelled(self, event: OrderCancelled) -> None:
        self.fail(event.reason.strip() or "cancelled without a reason")

    def _give_up(self, reason: str) -> None:
        self.cancel_timeout("unpaid")
        self.send(GiveUpOrder(order_id=self.order_id, reason=reason))
