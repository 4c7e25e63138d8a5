"""What orders does by itself when it hears the others."""

from __future__ import annotations

from projects.example.inventory.messages import InventoryRefused
from projects.example.orders.messages import (
    DECLINED,
    OUT_OF_STOCK,
    UNPAID,
    ConfirmOrder,
    GiveUpOrder,
    OrderPlaced,
)
from projects.example.payments.messages import PaymentCharged, PaymentDeclined
from projects.example.process import unpaid_after
from whizbang import Context, subscribes


@subscribes(OrderPlaced)
def watch_payment(event: OrderPlaced, context: Context) -> None:
    """Nobody hears that nothing happens: a command that is sent to oneself for later does it."""
    context.send(GiveUpOrder(order_id=event.order_id, reason=UNPAID), delay=unpaid_after())


@subscribes(PaymentCharged)
def confirm_what_was_paid(event: PaymentCharged, context: Context) -> None:
    context.send(ConfirmOrder(order_id=event.order_id))


@subscribes(InventoryRefused)
def give_up_what_is_out_of_stock(event: InventoryRefused, context: Context) -> None:
    context.send(GiveUpOrder(order_id=event.order_id, reason=OUT_OF_STOCK))


@subscribes(PaymentDeclined)
def give_up_what_was_declined(event: PaymentDeclined, context: Context) -> None:
    context.send(GiveUpOrder(order_id=event.order_id, reason=DECLINED))
