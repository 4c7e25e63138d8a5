"""Sales figures, from the read models alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from projects.example.orders.models import Customer, SalesDay


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
