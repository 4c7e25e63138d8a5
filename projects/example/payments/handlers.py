"""Payments charges what inventory has reserved, and gives back what was cancelled."""

from __future__ import annotations

from projects.example.inventory.messages import InventoryReserved
from projects.example.orders.messages import OrderCancelled
from projects.example.payments.aggregates import Payment
from projects.example.payments.messages import ChargePayment, RefundPayment
from whizbang import Context, handles, subscribes


@subscribes(InventoryReserved)
def charge_what_was_reserved(event: InventoryReserved, context: Context) -> None:
    context.send(
        ChargePayment(order_id=event.order_id, amount=event.total, currency=event.currency)
    )


@subscribes(OrderCancelled)
def refund_what_was_cancelled(event: OrderCancelled, context: Context) -> None:
    context.send(RefundPayment(order_id=event.order_id))


@handles(ChargePayment)
def charge_payment(command: ChargePayment, context: Context) -> None:
    payment = context.load(Payment, command.order_id)
    payment.charge(amount=command.amount, currency=command.currency)


@handles(RefundPayment)
def refund_payment(command: RefundPayment, context: Context) -> None:
    context.load(Payment, command.order_id).refund()
