"""Messages that do nothing, and the one command that does what most commands do."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from whizbang import Command, Constraint, Event, Query


class DoNothing(Command[None]):
    """Handled without a transaction."""

    order_id: str
    quantity: int
    amount: Decimal


class DoNothingInTransaction(Command[None]):
    order_id: str
    quantity: int
    amount: Decimal


class AskNothing(Query[None]):
    order_id: str
    quantity: int
    amount: Decimal


class AddItem(Command[int]):
    """Put an article into a cart; answers with how many the cart holds then."""

    cart_id: str
    sku: str
    quantity: Annotated[int, Constraint(gt=0)]
    amount: Decimal


class CountCart(Command[None]):
    """Its handler writes one row and nothing else: what `relay` sends."""

    cart_id: str
    quantity: int
    note: str = ""


class CartOpened(Event):
    cart_id: str
    customer_id: str
    currency: str


class ItemAdded(Event):
    cart_id: str
    sku: str
    quantity: int
    amount: Decimal


class NoteTaken(Event):
    """What `append` writes and `read` reads."""

    notebook_id: str
    number: int
    text: str
