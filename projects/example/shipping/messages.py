"""What shipping can be asked and what it tells."""

from __future__ import annotations

from whizbang import Command, Event


class ShipOrder(Command[None]):
    order_id: str


class OrderShipped(Event):
    order_id: str
