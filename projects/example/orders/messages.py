"""What orders can be asked and what it tells: the only module that other domains import."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from django.core.exceptions import ValidationError

from whizbang import Command, Constraint, Event, Query, Value, requires, upcasts

Identifier = Annotated[str, Constraint(min_length=1, max_length=64)]
CENT = Decimal("0.01")
MAX_AMOUNT = Decimal(1_000_000)

# Why the shop gives an order up.
OUT_OF_STOCK = "out of stock"
DECLINED = "the payment was declined"
UNPAID = "not paid in time"


class Line(Value):
    """One article of an order."""

    sku: Identifier
    quantity: Annotated[int, Constraint(gt=0, le=10_000)]
    amount: Decimal  # of the whole line: many do not divide into whole cents apiece


class PlaceOrder(Command[str]):
    """Place an order; answers with its id."""

    order_id: Identifier
    customer_id: Identifier
    lines: Annotated[list[Line], Constraint(min_length=1, max_length=100)]

    def clean(self) -> None:
        for line in self.lines:
            if not (line.amount.is_finite() and 0 <= line.amount <= MAX_AMOUNT):
                raise ValidationError(
                    f"The amount {line.amount} is not between 0 and {MAX_AMOUNT}."
                )
            if line.amount != line.amount.quantize(CENT):
                raise ValidationError(f"The amount {line.amount} is not in whole cents.")


@requires("orders.cancel_order")
class CancelOrder(Command[None]):
    """Cancel an order that is not confirmed yet: the other domains give back what they have."""

    order_id: Identifier
    reason: Annotated[str, Constraint(max_length=500)] = ""


class ConfirmOrder(Command[None]):
    """Confirm an order that is paid: from then on it is shipped and cannot be cancelled. Ignored once it is cancelled."""

    order_id: Identifier


class GiveUpOrder(Command[None]):
    """Cancel an order that cannot be delivered. Ignored where it is confirmed or cancelled already."""

    order_id: Identifier
    reason: Annotated[str, Constraint(max_length=500)]


class OrderDetails(Value):
    """An order and how far it has come."""

    order_id: str
    customer_id: str
    status: str
    quantity: int
    total: Decimal
    currency: str
    ordered_at: datetime | None


class GetOrder(Query[OrderDetails]):
    """Ask how far an order has come."""

    order_id: Identifier


class OrderPlaced(Event):
    order_id: str
    customer_id: str
    lines: list[Line]
    quantity: int
    total: Decimal
    currency: str


@upcasts(OrderPlaced, from_version=1)
def add_currency(data: dict[str, Any]) -> dict[str, Any]:
    """The first orders were stored without a currency: all were in US dollars."""
    return {**data, "currency": "USD"}


class OrderConfirmed(Event):
    """The way back is closed: either this or OrderCancelled is ever told of an order."""

    order_id: str


class OrderCancelled(Event):
    order_id: str
    customer_id: str
    quantity: int
    total: Decimal
    currency: str
    reason: str
