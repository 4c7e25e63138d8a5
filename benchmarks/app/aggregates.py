from __future__ import annotations

from decimal import Decimal

from benchmarks.app.messages import CartOpened, ItemAdded, NoteTaken
from whizbang import Aggregate, Rejected, applies

MAX_QUANTITY = 1_000


class CartFull(Rejected):
    def __init__(self, cart_id: str) -> None:
        super().__init__(f"Cart {cart_id} holds {MAX_QUANTITY} articles already.")


class Cart(Aggregate):
    is_open: bool = False
    quantity: int = 0
    total: Decimal = Decimal(0)

    def add(self, *, sku: str, quantity: int, amount: Decimal) -> None:
        if self.quantity + quantity > MAX_QUANTITY:
            raise CartFull(self.id)
        self.record(ItemAdded(cart_id=self.id, sku=sku, quantity=quantity, amount=amount))

    @applies(CartOpened)
    def _opened(self, event: CartOpened) -> None:
        self.is_open = True

    @applies(ItemAdded)
    def _added(self, event: ItemAdded) -> None:
        self.quantity += event.quantity
        self.total += event.amount


class Notebook(Aggregate):
    """As plain as an aggregate can be, so that loading one measures the store."""

    notes: int = 0

    @applies(NoteTaken)
    def _taken(self, event: NoteTaken) -> None:
        self.notes += 1
