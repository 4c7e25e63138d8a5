"""Sales figures, from the read models alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import Count

from projects.example.orders.models import Customer, SalesDay, TrackedOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class TopCustomer:
    customer_id: str
    orders: int
    cds: int
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesReport:
    orders: int
    customers: int
    cds: int
    value: Decimal
    days: int
    first_day: date | None
    last_day: date | None
    orders_by_month: dict[str, int]
    top_customers: list[TopCustomer]


def make_report(*, top: int) -> SalesReport:
    """Totals, orders by month and the customers with the most orders.

    The days are few and are added up here: SQLite would add amounts as floats.
    """
    days = list(SalesDay.objects.order_by("day"))
    months: Counter[str] = Counter()
    for day in days:
        months[f"{day.day:%Y-%m}"] += day.orders
    return SalesReport(
        orders=sum(day.orders for day in days),
        customers=Customer.objects.count(),
        cds=sum(day.cds for day in days),
        value=sum((day.value for day in days), Decimal(0)),
        days=len(days),
        first_day=days[0].day if days else None,
        last_day=days[-1].day if days else None,
        orders_by_month=dict(months),
        top_customers=find_top_customers(top),
    )


def find_top_customers(count: int) -> list[TopCustomer]:
    rows = Customer.objects.order_by("-orders", "-value", "customer_id")[:count]
    return [
        TopCustomer(customer_id=row.customer_id, orders=row.orders, cds=row.cds, value=row.value)
        for row in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """So many orders have come so far; `reason` says why they were cancelled."""

    status: str
    reason: str
    orders: int

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}" if self.reason else self.status


def find_outcomes() -> list[Outcome]:
    """What has become of the orders, as far as they have come."""
    rows = TrackedOrder.objects.order_by().values_list("status", "cancel_reason")
    found = {(status, reason): n for status, reason, n in rows.annotate(n=Count("pk"))}
    order = list(TrackedOrder.Status)
    return [
        Outcome(status=str(TrackedOrder.Status(status).label), reason=reason, orders=count)
        for (status, reason), count in sorted(
            found.items(), key=lambda item: (-order.index(TrackedOrder.Status(item[0][0])), item[0])
        )
    ]
