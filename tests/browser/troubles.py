"""An example shop with real orders in which some things went wrong, and could be mended since."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from django.core.management import call_command

from projects.example.fates import Fate, fate_of
from whizbang.testing import drain

ORDERS = 300
LATE_ORDERS = 20  # whose payment failed, or whose row did

UNPAYABLE = "cdnow-305"  # the bank's machine did not answer
UNCOUNTABLE = "cdnow-310"  # a projection stumbled over it
SHIPPED = "cdnow-7"
REFUSED_LINE = "The bank does not answer: connection reset by peer."


def make_shop() -> None:
    """All that the console can show, in a database that is migrated and empty."""
    call_command("import_cdnow", limit=ORDERS, verbosity=0, stdout=_Quiet())
    drain()
    with _broken_bank(), _broken_projection():
        call_command("import_cdnow", limit=ORDERS + LATE_ORDERS, verbosity=0, stdout=_Quiet())
        drain()


class _Quiet:
    def write(self, text: str) -> None:
        pass

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


@contextmanager
def _broken_bank() -> Iterator[None]:
    """One payment dies after its attempts: a dead letter, and a saga that waits."""

    def refuse(order_id: str) -> Fate:
        if order_id == UNPAYABLE:
            raise ConnectionError(REFUSED_LINE)
        return fate_of(order_id)

    with patch("projects.example.payments.handlers.fate_of", refuse):
        yield


@contextmanager
def _broken_projection() -> Iterator[None]:
    """One order's stream is parked by the projections that count orders."""
    from projects.example.orders import projections

    count: Callable[[Any, Any], None] = projections.add_order

    def stumble(row: Any, event: Any) -> None:
        if event.order_id == UNCOUNTABLE:
            raise ZeroDivisionError("division by zero <script>alert(1)</script>")
        count(row, event)

    with patch("projects.example.orders.projections.add_order", stumble):
        yield
