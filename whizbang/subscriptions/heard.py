"""Which events this service wants, who of it wants them, and which are those of other services."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from whizbang.conf import settings
from whizbang.messages.base import Event
from whizbang.projections import declaration
from whizbang.routing.registry import registry
from whizbang.sagas.declaration import sagas_here


@dataclass(frozen=True, slots=True)
class Hearer:
    """A projection, subscriber or saga that is active in this service."""

    name: str
    kind: str  # "projection", "subscriber" or "saga"
    delivery: str  # "async" or "inline"
    event_types: tuple[type[Event], ...]


def hearers() -> Iterator[Hearer]:
    """All that hear events here. Needs the apps' modules to be loaded."""
    owns = settings.get().owns
    for projection in declaration.instances():
        if owns(projection.domain):
            types = tuple(projection.event_types())
            yield Hearer(projection.name, "projection", projection.delivery, types)
    for subscriber in registry.subscribers:
        if owns(subscriber.domain):
            types = subscriber.event_types
            yield Hearer(subscriber.name, "subscriber", subscriber.delivery, types)
    for saga in sagas_here():
        yield Hearer(saga.name(), "saga", "async", tuple(saga.reactions))


def heard_domains() -> frozenset[str]:
    """Domains of others that a projection, subscriber or saga of this service wants events of."""
    owns = settings.get().owns
    domains = {t.__whizbang__.domain for hearer in hearers() for t in hearer.event_types}
    return frozenset(domain for domain in domains if not owns(domain))


def ownerless_domains() -> dict[str, list[str]]:
    """Domains that no service owns although their events are wanted here, with who wants them."""
    service_of = settings.get().service_of
    wanted: dict[str, set[str]] = {}
    for hearer in hearers():
        for event_type in hearer.event_types:
            wanted.setdefault(event_type.__whizbang__.domain, set()).add(hearer.name)
    return {
        domain: sorted(names)
        for domain, names in sorted(wanted.items())
        if service_of(domain) is None
    }
