from __future__ import annotations

import time
from dataclasses import dataclass, field
from decimal import Decimal

from tests.shop.messages import OrderGone, OrderNoted, OrderOpened
from tests.shop.models import CustomerTotal, OrderSummary
from whizbang import DELETE, CachedProjection, Metadata, ModelProjection, on


class OrderSummaries(ModelProjection):
    model = OrderSummary

    @on(OrderOpened, by="order_id")
    def opened(self, row: OrderSummary, event: OrderOpened, meta: Metadata) -> None:
        row.status, row.total = "open", event.total

    @on(OrderNoted, by="order_id")
    def noted(self, row: OrderSummary, event: OrderNoted, meta: Metadata) -> object:
        if event.text == "poison" and row.status != "cured":
            raise ValueError("This note cannot be projected.")
        if event.text == "delete":
            return DELETE
        row.notes += 1
        return None

    @on(OrderGone, by="order_id")
    def gone(self, row: OrderSummary, event: OrderGone, meta: Metadata) -> None:
        row.status = "gone"


class CustomerTotals(ModelProjection):
    model = CustomerTotal
    delivery = "inline"

    @on(OrderOpened, by="customer_id")
    def opened(self, row: CustomerTotal, event: OrderOpened, meta: Metadata) -> None:
        row.orders += 1


@dataclass
class CachedOrder:
    status: str = "unknown"
    total: Decimal = Decimal(0)
    notes: list[str] = field(default_factory=list)


class OrderCache(CachedProjection):
    entry = CachedOrder

    @on(OrderOpened, by="order_id")
    def opened(self, entry: CachedOrder, event: OrderOpened, meta: Metadata) -> None:
        entry.status, entry.total = "open", event.total

    @on(OrderNoted, by="order_id")
    def noted(self, entry: CachedOrder, event: OrderNoted, meta: Metadata) -> object:
        entry.notes.append(event.text)
        if event.text == "poison":
            raise ValueError("This note cannot be cached.")
        return DELETE if event.text == "delete" else None

    @on(OrderGone, by="order_id")
    def gone(self, entry: CachedOrder, event: OrderGone, meta: Metadata) -> CachedOrder:
        return CachedOrder("gone", entry.total, entry.notes)


class NoteCounts(CachedProjection):
    entry = int

    @on(OrderNoted, by=lambda event, meta: [event.order_id, "all"])
    def noted(self, entry: int, event: OrderNoted, meta: Metadata) -> int:
        return entry + 1


@dataclass
class Pair:
    """Its halves are equal between two events."""

    one: int = 0
    other: int = 0


class Pairs(CachedProjection):
    entry = Pair
    max_staleness_seconds = None

    @on(OrderNoted, by="order_id")
    def noted(self, entry: Pair, event: OrderNoted, meta: Metadata) -> None:
        entry.one += 1
        time.sleep(0)  # gives readers a turn
        entry.other += 1
