"""Shipping ships what is paid, and stops what was cancelled in time."""

from __future__ import annotations

from projects.example.orders.messages import OrderCancelled
from projects.example.payments.messages import PaymentCharged
from projects.example.shipping.aggregates import Shipment
from projects.example.shipping.messages import ShipOrder, StopShipment
from whizbang import Context, handles, subscribes


@subscribes(PaymentCharged)
def ship_what_was_paid(event: PaymentCharged, context: Context) -> None:
    context.send(ShipOrder(order_id=event.order_id))


@subscribes(OrderCancelled)
def stop_what_was_cancelled(event: OrderCancelled, context: Context) -> None:
    context.send(StopShipment(order_id=event.order_id))


@handles(ShipOrder)
def ship_order(command: ShipOrder, context: Context) -> None:
    context.load(Shipment, command.order_id).ship()


@handles(StopShipment)
def stop_shipment(command: StopShipment, context: Context) -> None:
    context.load(Shipment, command.order_id).stop()
