"""manage.py sales_report"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand

from projects.example.orders.reporting import SalesReport, make_report


class Command(BaseCommand):
    help = "Prints totals, orders by month and the top customers, from the read models."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--top", type=int, default=10, help="how many customers (default: 10)")
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, **options: Any) -> None:
        report = make_report(top=options["top"])
        if options["json"]:
            self.stdout.write(msgspec.json.format(msgspec.json.encode(report)).decode())
        else:
            self._print(report)

    def _print(self, report: SalesReport) -> None:
        self.stdout.write(
            f"{report.orders:,} orders of {report.customers:,} customers: {report.cds:,} CDs for "
            f"${report.value:,} on {report.days:,} days ({report.first_day} to {report.last_day})"
        )
        self.stdout.write("\nMonth     Orders")
        for month, orders in report.orders_by_month.items():
            self.stdout.write(f"{month}  {orders:8,}")
        self.stdout.write("\nCustomer     Orders     CDs         Value")
        for row in report.top_customers:
            value = f"${row.value:,}"
            self.stdout.write(f"{row.customer_id:10} {row.orders:8,} {row.cds:7,} {value:>13}")
