from __future__ import annotations

import enum
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from django.core.exceptions import ValidationError

from whizbang import Command, Constraint, Event, Query, Value, named, owned_by, requires, upcasts


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Line(Value):
    sku: str
    quantity: Annotated[int, Constraint(gt=0)]
    amount: Decimal


class OpenOrder(Command[str]):
    order_id: str
    customer_id: str = "c1"
    lines: list[Line] = []

    def clean(self) -> None:
        if self.customer_id == "nobody":
            raise ValidationError("An order needs a customer.")


class ShipOrder(Command[None]):
    order_id: str


class NoteOrder(Command[int]):
    """Ships nothing; its handler fails for some texts."""

    order_id: str
    text: str


class TakeLong(Command[None]):
    """Its handler is slow, inside its transaction."""

    seconds: float


class TakeLongOutside(Command[None]):
    """The same without a transaction."""

    seconds: float


class PassGate(Command[None]):
    """Its handler waits, inside its transaction, until the test opens the gate; see tests/shop/gate.py."""

    name: str


class PassGateOutside(Command[None]):
    """The same without a transaction."""

    name: str


class CloseOrder(Command[str]):
    order_id: str


class TouchOrder(Command[str]):
    """Its handler runs outside a transaction."""

    order_id: str


@requires("shop.close_everything")
class CloseEverything(Command[int]):
    pass


@owned_by("elsewhere")
class CallElsewhere(Command[str]):
    text: str = ""


@owned_by("elsewhere")
class HappenedElsewhere(Event):
    text: str = ""


class CountOrders(Query[int]):
    pass


class OrderOpened(Event):
    order_id: str
    customer_id: str
    total: Decimal
    currency: str


@upcasts(OrderOpened, from_version=1)
def add_currency(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "currency": "USD"}


@named("shop.OrderShipped", aliases=["shop.OrderSent"])
class OrderGone(Event):
    order_id: str


class OrderNoted(Event):
    order_id: str
    text: str


class EveryKind(Event):
    amount: Decimal
    key: UUID
    at: datetime
    day: date
    color: Color
    lines: list[Line]
    ratio: float = 0.0
    count: int = 0
    raw: bytes = b""
    names: dict[str, int] = {}


NOON = datetime(1997, 1, 2, 12, tzinfo=UTC)
