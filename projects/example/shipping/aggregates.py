"""The rules of one order's shipment. Asked twice, it answers once."""

from __future__ import annotations

from projects.example.shipping.messages import OrderShipped
from whizbang import Aggregate, applies


class Shipment(Aggregate):
    status: str = "new"

    def ship(self) -> None:
        if self.status == "new":
            self.record(OrderShipped(order_id=self.id))

    @applies(OrderShipped)
    def _shipped(self, event: OrderShipped) -> None:
        self.status = "shipped"
