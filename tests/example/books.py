"""What has become of orders: from the log alone, and from the file of orders and their fates alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db.models import Count

from projects.example.fates import Fate, fate_of
from projects.example.inventory.messages import (
    InventoryRefused,
    InventoryReleased,
    InventoryReserved,
)
from projects.example.orders.cdnow import Purchase, read_lines
from projects.example.orders.handlers import CHANGED_MIND
from projects.example.orders.importing import order_of
from projects.example.orders.messages import (
    DECLINED,
    OUT_OF_STOCK,
    UNPAID,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
)
from projects.example.payments.messages import PaymentCharged, PaymentDeclined, PaymentRefunded
from projects.example.shipping.messages import OrderShipped
from whizbang import Event
from whizbang.models import InboxMessage, OutboxMessage

SHARES = {fate.value: 0.12 for fate in Fate if fate is not Fate.DELIVERED}


@dataclass(slots=True, kw_only=True)
class Account:
    """One order. `held` is what inventory keeps for it, `kept` what the customer has paid."""

    order: str = ""
    reservation: str = ""
    held: int = 0
    payment: str = ""
    kept: Decimal = Decimal(0)
    shipment: str = ""

    def as_texts(self) -> list[str]:
        texts = [self.order, self.reservation, str(self.held), self.payment, f"{self.kept:.2f}"]
        return [*texts, self.shipment]


Books = dict[str, Account]


def keep_books(events: Iterable[Event]) -> Books:
    """From the events of all four domains, in any order of the domains among each other.

    A payment that was closed before anything was charged counts as none.
    """
    books: Books = {}
    for event in events:
        enter(books, event)
    return books


def enter(books: Books, event: Any) -> None:
    if not hasattr(event, "order_id"):
        return
    account = books.setdefault(event.order_id, Account())
    if isinstance(event, OrderPlaced):
        account.order = "placed"
    elif isinstance(event, OrderConfirmed):
        assert account.order == "placed"
        account.order = "confirmed"
    elif isinstance(event, OrderCancelled):
        assert account.order == "placed"
        account.order = f"cancelled: {event.reason}"
    elif isinstance(event, InventoryReserved):
        account.reservation, account.held = "reserved", account.held + event.quantity
    elif isinstance(event, InventoryRefused):
        account.reservation = "refused"
    elif isinstance(event, InventoryReleased):
        account.reservation, account.held = "released", account.held - event.quantity
    elif isinstance(event, PaymentCharged):
        account.payment, account.kept = "charged", account.kept + event.amount
    elif isinstance(event, PaymentDeclined):
        account.payment = "declined"
    elif isinstance(event, PaymentRefunded):
        account.payment = "refunded" if event.amount else account.payment
        account.kept -= event.amount
    elif isinstance(event, OrderShipped):
        assert not account.shipment
        account.shipment = "shipped"


def expect_books(path: Path, *, orders: int) -> Books:
    """What the first orders of a file have to come to."""
    placed = [order_of(line) for line in purchases(path, orders=orders)]
    return {
        order.order_id: expect(
            order.order_id,
            quantity=sum(line.quantity for line in order.lines),
            total=sum((line.amount for line in order.lines), Decimal(0)),
        )
        for order in placed
    }


def purchases(path: Path, *, orders: int) -> Iterator[Purchase]:
    return (line for line in read_lines(path, limit=orders) if isinstance(line, Purchase))


def expect(order_id: str, *, quantity: int, total: Decimal) -> Account:
    fate = fate_of(order_id)
    if fate is Fate.DELIVERED:
        return Account(
            order="confirmed",
            reservation="reserved",
            held=quantity,
            payment="charged",
            kept=total,
            shipment="shipped",
        )
    reason, reservation, payment = {
        Fate.OUT_OF_STOCK: (OUT_OF_STOCK, "refused", ""),
        Fate.DECLINED: (DECLINED, "released", "declined"),
        Fate.UNANSWERED: (UNPAID, "released", ""),
        # Some real orders are for nothing: then nothing is given back either.
        Fate.CANCELLED: (CHANGED_MIND, "released", "refunded" if total else "charged"),
    }[fate]
    return Account(order=f"cancelled: {reason}", reservation=reservation, payment=payment)


def check_sums(books: Books) -> None:
    """Each order is shipped or cancelled, and what is held and kept belongs to those that are shipped."""
    for order_id, account in books.items():
        is_shipped = account.shipment == "shipped"
        assert is_shipped == (account.order == "confirmed"), order_id
        assert is_shipped != account.order.startswith("cancelled"), order_id
        if not is_shipped:
            assert (account.held, account.kept) == (0, 0), order_id


def commands_sent_twice() -> list[str]:
    """Types of commands that the inbox or the outbox has twice with one content."""
    inbox = InboxMessage.objects.values("type", "payload_hash").annotate(n=Count("pk"))
    outbox = OutboxMessage.objects.filter(kind="command").values("type", "payload")
    rows = [*inbox.filter(n__gt=1), *outbox.annotate(n=Count("pk")).filter(n__gt=1)]
    return [row["type"] for row in rows]
