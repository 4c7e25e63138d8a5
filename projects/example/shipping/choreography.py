"""What shipping does by itself when it hears the others."""

from __future__ import annotations

from projects.example.orders.messages import OrderConfirmed
from projects.example.shipping.messages import ShipOrder
from whizbang import Context, subscribes


@subscribes(OrderConfirmed)
def ship_what_was_confirmed(event: OrderConfirmed, context: Context) -> None:
    context.send(ShipOrder(order_id=event.order_id))
