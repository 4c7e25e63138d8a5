from __future__ import annotations

from benchmarks.app.messages import CartOpened, ItemAdded
from benchmarks.app.models import CartSummary, CartTotal
from whizbang import Metadata, ModelProjection, on


class CartSummaries(ModelProjection):
    model = CartSummary
    delivery = "inline"

    @on(CartOpened, by="cart_id")
    def opened(self, row: CartSummary, event: CartOpened, meta: Metadata) -> None:
        row.customer_id = event.customer_id
        row.changed_at = meta.occurred_at

    @on(ItemAdded, by="cart_id")
    def added(self, row: CartSummary, event: ItemAdded, meta: Metadata) -> None:
        row.items += 1
        row.quantity += event.quantity
        row.total += event.amount
        row.changed_at = meta.occurred_at


class CartTotals(ModelProjection):
    """Async: what a worker does, and a rebuild, by several processes too."""

    model = CartTotal
    partition_by = "stream"

    @on(ItemAdded, by="cart_id")
    def added(self, row: CartTotal, event: ItemAdded, meta: Metadata) -> None:
        row.items += 1
        row.quantity += event.quantity
        row.total += event.amount
        row.changed_at = meta.occurred_at
