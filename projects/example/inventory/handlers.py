"""Inventory hears of orders and reserves or releases what they hold."""

from __future__ import annotations

from projects.example.inventory.aggregates import Reservation
from projects.example.inventory.messages import ReleaseInventory, ReserveInventory
from projects.example.orders.messages import OrderCancelled, OrderPlaced
from whizbang import Context, handles, subscribes


@subscribes(OrderPlaced)
def reserve_what_was_ordered(event: OrderPlaced, context: Context) -> None:
    context.send(
        ReserveInventory(
            order_id=event.order_id,
            quantity=event.quantity,
            total=event.total,
            currency=event.currency,
        )
    )


@subscribes(OrderCancelled)
def release_what_was_cancelled(event: OrderCancelled, context: Context) -> None:
    context.send(ReleaseInventory(order_id=event.order_id))


@handles(ReserveInventory)
def reserve_inventory(command: ReserveInventory, context: Context) -> None:
    reservation = context.load(Reservation, command.order_id)
    reservation.reserve(quantity=command.quantity, total=command.total, currency=command.currency)


@handles(ReleaseInventory)
def release_inventory(command: ReleaseInventory, context: Context) -> None:
    context.load(Reservation, command.order_id).release()
