"""Which events of other services this one wants."""

from __future__ import annotations

from collections.abc import Iterator

from whizbang.conf import settings
from whizbang.messages.base import Event
from whizbang.projections import declaration
from whizbang.routing.registry import registry


def heard_domains() -> frozenset[str]:
    """Domains of others that a projection or an active subscriber of this service wants events of."""
    owns = settings.get().owns
    domains = {event_type.__whizbang__.domain for event_type in _heard_types()}
    return frozenset(domain for domain in domains if not owns(domain))


def _heard_types() -> Iterator[type[Event]]:
    for projection in declaration.instances():
        if settings.get().owns(projection.domain):
            yield from projection.event_types()
    for subscriber in registry.subscribers:
        if settings.get().owns(subscriber.domain):
            yield from subscriber.event_types
