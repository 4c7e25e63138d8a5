"""What inventory can be asked and what it tells."""

from __future__ import annotations

from decimal import Decimal

from whizbang import Command, Event


class ReserveInventory(Command[None]):
    order_id: str
    quantity: int
    total: Decimal  # what the order costs: passed on, so that payments need not ask orders
    currency: str


class ReleaseInventory(Command[None]):
    order_id: str


class InventoryReserved(Event):
    order_id: str
    quantity: int
    total: Decimal
    currency: str


class InventoryRefused(Event):
    """It is out of stock."""

    order_id: str


class InventoryReleased(Event):
    order_id: str
    quantity: int
