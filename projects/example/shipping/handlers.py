"""What happens when shipping is asked for something."""

from __future__ import annotations

from projects.example.shipping.aggregates import Shipment
from projects.example.shipping.messages import ShipOrder
from whizbang import Context, handles


@handles(ShipOrder)
def ship_order(command: ShipOrder, context: Context) -> None:
    context.load(Shipment, command.order_id).ship()
