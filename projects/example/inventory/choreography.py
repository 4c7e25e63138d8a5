"""What inventory does by itself when it hears the others."""

from __future__ import annotations

from projects.example.inventory.messages import ReleaseInventory, ReserveInventory
from projects.example.orders.messages import OrderCancelled, OrderPlaced
from whizbang import Context, subscribes


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
