"""An example shop with real orders in which some things went wrong, and could be mended since."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from django.core.management import call_command
from msgspec import to_builtins
from msgspec.structs import replace

from projects.example.fates import Fate, fate_of
from tests.browser.names import REFUSED_LINE, UNCOUNTABLE, UNPAYABLE
from whizbang import event_store
from whizbang.models import MetricSample
from whizbang.operations.overview.figures import SubscriptionFigures, measure
from whizbang.testing import drain

ORDERS = 300
LATE_ORDERS = 20  # whose payment failed, or whose row did

_LAGGING = "orders.SalesByDay"


def make_shop() -> None:
    """All that the console can show, in a database that is migrated and empty."""
    call_command("import_cdnow", limit=ORDERS, verbosity=0, stdout=_Quiet())
    drain()
    with _broken_bank(), _broken_projection():
        call_command("import_cdnow", limit=ORDERS + LATE_ORDERS, verbosity=0, stdout=_Quiet())
        drain()
    _remember_half_an_hour()


def _remember_half_an_hour() -> None:
    """Samples as a worker would have left them: the shop was busy, and a projection lagged for a while."""
    now, last = datetime.now(UTC), measure(event_store()).figures
    for minute in range(30, 0, -1):
        lag = max(0, 40 - 5 * abs(minute - 18))
        subscriptions = {
            name: SubscriptionFigures(
                lag_events=lag if name == _LAGGING else lag // 8, lag_seconds=lag / 20
            )
            for name in last.subscriptions
        }
        figures = replace(
            last,
            head=last.head - 45 * minute - 9 * (minute % 5),
            subscriptions=subscriptions,
            dead_letters=0,
            parked=0,
            sagas_open=4 + minute % 5,
            workers=1,
        )
        MetricSample.objects.create(
            at=now - timedelta(minutes=minute), figures=to_builtins(figures)
        )


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
