"""The rules of one order's reservation. Asked twice, it answers once."""

from __future__ import annotations

from decimal import Decimal

from projects.example.inventory.messages import (
    InventoryRefused,
    InventoryReleased,
    InventoryReserved,
)
from whizbang import Aggregate, applies


class Reservation(Aggregate):
    status: str = "new"
    quantity: int = 0

    def reserve(self, *, quantity: int, total: Decimal, currency: str) -> None:
        if self.status == "new":
            self.record(
                InventoryReserved(
                    order_id=self.id, quantity=quantity, total=total, currency=currency
                )
            )

    def refuse(self) -> None:
        if self.status == "new":
            self.record(InventoryRefused(order_id=self.id))

    def release(self) -> None:
        """Closes the reservation even if it is not made yet: a late ReserveInventory finds it so."""
        if self.status in ("new", "reserved"):
            self.record(InventoryReleased(order_id=self.id, quantity=self.quantity))

    @applies(InventoryReserved)
    def _reserved(self, event: InventoryReserved) -> None:
        self.status = "reserved"
        self.quantity = event.quantity

    @applies(InventoryRefused)
    def _refused(self, event: InventoryRefused) -> None:
        self.status = "refused"

    @applies(InventoryReleased)
    def _released(self, event: InventoryReleased) -> None:
        self.status = "released"
        self.quantity = 0
