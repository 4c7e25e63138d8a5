"""The rules of one order's shipment. Asked twice, it answers once."""

from __future__ import annotations

from projects.example.shipping.messages import OrderShipped, ShipmentStopped
from whizbang import Aggregate, applies


class Shipment(Aggregate):
    status: str = "new"

    def ship(self) -> None:
        if self.status == "new":
            self.record(OrderShipped(order_id=self.id))

    def stop(self) -> None:
        """What has left cannot be stopped."""
        if self.status == "new":
            self.record(ShipmentStopped(order_id=self.id))

    @applies(OrderShipped)
    def _shipped(self, event: OrderShipped) -> None:
        self.status = "shipped"

    @applies(ShipmentStopped)
    def _stopped(self, event: ShipmentStopped) -> None:
        self.status = "stopped"
