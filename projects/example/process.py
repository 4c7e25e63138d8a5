"""How an order gets from one domain to the next: the same process, written in two ways.

"saga": OrderFulfillment (orders/sagas.py) hears what the domains tell and sends each its next command.
"choreography": each domain hears the others and knows its own next command (choreography.py of each).
"none": orders are placed, and nothing follows.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

SAGA, CHOREOGRAPHY, NONE = "saga", "choreography", "none"
_DAY_SECONDS = 86_400.0


def chosen() -> str:
    """What settings.EXAMPLE["PROCESS"] says.

    The saga unless it says else: the whole way, what undoes it and the wait for the payment stand on one page, and
    an order that is stuck is a row to look at.
    """
    name = str(_setting("PROCESS", SAGA))
    if name not in (SAGA, CHOREOGRAPHY, NONE):
        raise ImproperlyConfigured(
            f"EXAMPLE_PROCESS is {name!r}: use {SAGA!r}, {CHOREOGRAPHY!r} or {NONE!r}."
        )
    return name


def unpaid_after() -> timedelta:
    """How long an order may wait for its payment before it is cancelled."""
    return timedelta(seconds=float(_setting("UNPAID_SECONDS", _DAY_SECONDS)))


def _setting(name: str, default: Any) -> Any:
    return getattr(settings, "EXAMPLE", {}).get(name, default)


class DomainConfig(AppConfig):
    """An app of the shop. The saga is found by its module's name; subscribers are loaded where they are chosen."""

    def ready(self) -> None:
        if chosen() == CHOREOGRAPHY:
            import_module(f"{self.name}.choreography")
