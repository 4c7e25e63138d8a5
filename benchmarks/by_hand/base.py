"""What the forms by hand share: the command's values, the fold, and the event they append."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID
from zlib import crc32

from uuid_utils.compat import uuid7

SKU, QUANTITY, AMOUNT = "CD", 2, Decimal("11.77")
MAX_QUANTITY = 1_000
EVENT_TYPE, SCHEMA = "bench.ItemAdded", 1


@dataclass(slots=True)
class CartState:
    """What the events of a cart add up to."""

    version: int = 0
    quantity: int = 0
    total: Decimal = Decimal(0)


class Form(ABC):
    """One way to do the work; `add_item` gives how many articles the cart holds then."""

    name: str

    @abstractmethod
    def add_item(self, cart_id: str) -> int:
        """Read, append and update in one transaction of its own."""

    @abstractmethod
    def count_statements(self, cart_id: str) -> int:
        """Do it once more and count what is sent to the database, BEGIN and COMMIT included."""

    @abstractmethod
    def close(self) -> None:
        """Close the form's connection."""


def check_room(state: CartState) -> None:
    if state.quantity + QUANTITY > MAX_QUANTITY:
        raise ValueError(f"The cart holds {MAX_QUANTITY} articles already.")


def stream_of(cart_id: str) -> str:
    return f"bench.Cart-{cart_id}"


def slice_of(stream: str) -> int:
    return crc32(stream.encode()) % 1024


def make_payload(cart_id: str) -> dict[str, Any]:
    return {"cart_id": cart_id, "sku": SKU, "quantity": QUANTITY, "amount": AMOUNT}


def make_metadata() -> dict[str, Any]:
    """The same document that the library writes for an event caused by a command."""
    cause: UUID = uuid7()
    return {
        "message_id": uuid7(),
        "correlation_id": cause,
        "causation_id": cause,
        "service": "default",
        "hops": 1,
    }


def fold(rows: Iterable[tuple[int, str, dict[str, Any]]]) -> CartState:
    """Add up rows of version, type and payload as dict."""
    state = CartState()
    for version, type_name, payload in rows:
        state.version = version
        if type_name == EVENT_TYPE:
            state.quantity += payload["quantity"]
            state.total += Decimal(payload["amount"])
    return state
