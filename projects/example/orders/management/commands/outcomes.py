"""manage.py outcomes"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from projects.example.orders.reporting import find_outcomes


class Command(BaseCommand):
    help = "Prints what has become of the orders: shipped, cancelled and why, or how far they have come."

    def handle(self, **options: Any) -> None:
        for outcome in find_outcomes():
            self.stdout.write(f"{outcome.orders:10,}  {outcome}")
