"""What happens when inventory is asked for something."""

from __future__ import annotations

from projects.example.fates import Fate, fate_of
from projects.example.inventory.aggregates import Reservation
from projects.example.inventory.messages import ReleaseInventory, ReserveInventory
from whizbang import Context, handles


@handles(ReserveInventory)
def reserve_inventory(command: ReserveInventory, context: Context) -> None:
    reservation = context.load(Reservation, command.order_id)
    if fate_of(command.order_id) is Fate.OUT_OF_STOCK:
        reservation.refuse()
    else:
        reservation.reserve(
            quantity=command.quantity, total=command.total, currency=command.currency
        )


@handles(ReleaseInventory)
def release_inventory(command: ReleaseInventory, context: Context) -> None:
    context.load(Reservation, command.order_id).release()
