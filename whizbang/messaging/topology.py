"""What this service owns, hears and sends, and by which broker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.module_loading import import_string

from whizbang.conf import settings
from whizbang.drivers.brokers.base import Broker, Topology
from whizbang.messages.base import Event
from whizbang.messages.types import public_types


def has_peers() -> bool:
    """Does this service talk to any other one?"""
    return bool(settings.get().SERVICES)


def owned_domains() -> frozenset[str]:
    """Domains with events that this service records, as far as their types are known here."""
    owns = settings.get().owns
    domains = {t.__whizbang__.domain for t in public_types() if issubclass(t, Event)}
    return frozenset(domain for domain in domains if owns(domain))


def topology() -> Topology:
    """What the broker has to provide for this service. Needs the apps' modules to be loaded."""
    from whizbang.subscriptions.heard import heard_domains

    return Topology(
        service=settings.SERVICE,
        owns=owned_domains(),
        listens_to=heard_domains(),
        peers={
            name: _listens_to(service)
            for name, service in settings.get().SERVICES.items()
            if name != settings.SERVICE
        },
    )


def _listens_to(service: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(service.get("LISTENS_TO", ()))


def make_broker(*, using: str) -> Broker:
    """The broker of the settings; `using` is the database of the one that is a database."""
    configured = settings.get().BROKERS["default"]
    made: Broker = import_string(configured["BACKEND"])(
        using=configured.get("USING") or using,
        options=configured.get("OPTIONS"),
    )
    return made
