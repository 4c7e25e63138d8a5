"""Who owns, handles and hears what, as far as this service's code and settings tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from whizbang.conf import settings
from whizbang.messages.base import Command, Event, Message
from whizbang.messages.types import public_types
from whizbang.messaging.topology import has_peers, owned_domains, topology
from whizbang.operations.topology_warnings import TopologyWarning, find_warnings
from whizbang.routing.registry import registry
from whizbang.subscriptions.heard import Hearer, hearers


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry:
    """A service, its domains, and the domains of others whose events it wants."""

    name: str
    is_here: bool
    owns: tuple[str, ...]
    listens_to: tuple[str, ...]  # of others as LISTENS_TO tells, which may be nothing
    publishes: tuple[
        str, ...
    ]  # topics: of others the domains that they own, of this one those with events


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerEntry:
    """A broker of the settings; never its options, which may hold passwords."""

    alias: str
    backend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRoute:
    """Where a command goes: to its handler here, or to the queue of the service that owns it.

    Any service may send it; `requires` are the permissions that a user needs.
    """

    type: str
    domain: str
    owner: str | None
    handler: str | None  # here, and active
    queue: str | None  # of another service
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HearerEntry:
    name: str
    kind: str  # "projection" or "subscriber"
    delivery: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRoute:
    """Who publishes an event, and who hears it.

    `services`: others that listen to its domain, as LISTENS_TO tells; which types they want is not known.
    """

    type: str
    domain: str
    owner: str | None
    topic: str | None  # None where there is no other service, or no owner
    hearers: tuple[HearerEntry, ...]
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceMap:
    """All of it, sorted by name, this service first."""

    service: str
    services: tuple[ServiceEntry, ...]
    brokers: tuple[BrokerEntry, ...]
    commands: tuple[CommandRoute, ...]
    events: tuple[EventRoute, ...]
    warnings: tuple[TopologyWarning, ...]


def map_services() -> ServiceMap:
    """The map of this service and its peers. Asks no database and no broker.

    Needs the apps' modules to be loaded.
    """
    heard, peers = list(hearers()), topology().peers
    types = sorted(public_types(), key=lambda cls: cls.__whizbang__.type_name)
    return ServiceMap(
        service=settings.SERVICE,
        services=(_this_service(types), *_other_services()),
        brokers=tuple(
            BrokerEntry(alias=alias, backend=broker["BACKEND"])
            for alias, broker in sorted(settings.BROKERS.items())
        ),
        commands=tuple(_command_route(cls) for cls in types if issubclass(cls, Command)),
        events=tuple(_event_route(cls, heard, peers) for cls in types if issubclass(cls, Event)),
        warnings=tuple(find_warnings(types, heard)),
    )


def _this_service(types: Sequence[type[Message]]) -> ServiceEntry:
    owned = {cls.__whizbang__.domain for cls in types if cls.__whizbang__.kind != "value"}
    owns = settings.get().owns
    named = set() if settings.OWNS == "*" else set(settings.OWNS)
    return ServiceEntry(
        name=settings.SERVICE,
        is_here=True,
        owns=tuple(sorted({domain for domain in owned if owns(domain)} | named)),
        listens_to=tuple(sorted(topology().listens_to)),
        publishes=tuple(sorted(owned_domains())) if has_peers() else (),
    )


def _other_services() -> Iterator[ServiceEntry]:
    for name, listens_to in sorted(topology().peers.items()):
        owns = tuple(sorted(settings.SERVICES[name]["OWNS"]))
        yield ServiceEntry(
            name=name,
            is_here=False,
            owns=owns,
            listens_to=tuple(sorted(listens_to)),
            publishes=owns,
        )


def _command_route(cls: type[Message]) -> CommandRoute:
    info = cls.__whizbang__
    owner = settings.get().service_of(info.domain)
    is_here = settings.get().owns(info.domain)
    handler = registry.handler_of(cls) if is_here else None
    return CommandRoute(
        type=info.type_name,
        domain=info.domain,
        owner=owner,
        handler=handler.name if handler else None,
        queue=None if is_here else owner,
        requires=info.requires,
    )


def _event_route(
    cls: type[Event], heard: Sequence[Hearer], peers: Mapping[str, Collection[str]]
) -> EventRoute:
    info = cls.__whizbang__
    owner = settings.get().service_of(info.domain)
    found = (hearer for hearer in heard if cls in hearer.event_types)
    return EventRoute(
        type=info.type_name,
        domain=info.domain,
        owner=owner,
        topic=info.domain if owner is not None and has_peers() else None,
        hearers=tuple(
            HearerEntry(name=hearer.name, kind=hearer.kind, delivery=hearer.delivery)
            for hearer in sorted(found, key=lambda hearer: (hearer.kind, hearer.name))
        ),
        services=tuple(
            sorted(name for name, to in peers.items() if info.domain in to and name != owner)
        ),
    )
