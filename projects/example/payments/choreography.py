"""What payments does by itself when it hears the others."""

from __future__ import annotations

from projects.example.inventory.messages import InventoryReserved
from projects.example.orders.messages import OrderCancelled
from projects.example.payments.messages import ChargePayment, RefundPayment
from whizbang import Context, subscribes


@subscribes(InventoryReserved)
def charge_what_was_reserved(event: InventoryReserved, context: Context) -> None:
    context.send(
        ChargePayment(order_id=event.order_id, amount=event.total, currency=event.currency)
    )


@subscribes(OrderCancelled)
def refund_what_was_cancelled(event: OrderCancelled, context: Context) -> None:
    context.send(RefundPayment(order_id=event.order_id))
