"""What of messages and settings does not fit together: nobody owns, handles or hears it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from whizbang.conf import settings
from whizbang.messages.base import Command, Event, Message
from whizbang.messaging.topology import topology
from whizbang.routing.registry import registry
from whizbang.subscriptions.heard import Hearer, ownerless_domains


@dataclass(frozen=True, slots=True)
class TopologyWarning:
    """`kind`: "unowned command", "no handler", "unheard event" or "unowned domain"."""

    kind: str
    subject: str  # a type name, or a domain
    text: str


def find_warnings(
    types: Sequence[type[Message]], heard: Sequence[Hearer]
) -> Iterator[TopologyWarning]:
    """Warnings about these types, in their order. A class that others derive from counts as a mere base."""
    bases = {base for cls in types for base in cls.__mro__[1:]}
    concrete = [cls for cls in types if cls not in bases]
    for cls in concrete:
        if issubclass(cls, Command):
            yield from _find_lost_command(cls)
    yield from _find_unheard_events(concrete, heard)
    for domain, names in ownerless_domains().items():
        yield TopologyWarning(
            "unowned domain",
            domain,
            f"{', '.join(names)} wants events of {domain!r}, which no service owns.",
        )


def _find_lost_command(cls: type[Command]) -> Iterator[TopologyWarning]:
    info = cls.__whizbang__
    name = info.type_name
    if settings.get().service_of(info.domain) is None:
        text = f"No service owns {info.domain!r}: {name} cannot be sent."
        yield TopologyWarning("unowned command", name, text)
    elif settings.get().owns(info.domain) and registry.handler_of(cls) is None:
        text = f"This service owns {name}, but no function @handles it."
        yield TopologyWarning("no handler", name, text)


def _find_unheard_events(
    types: Sequence[type[Message]], heard: Sequence[Hearer]
) -> Iterator[TopologyWarning]:
    wanted = {cls for hearer in heard for cls in hearer.event_types}
    listened_to = {domain for domains in topology().peers.values() for domain in domains}
    for cls in types:
        info = cls.__whizbang__
        if not issubclass(cls, Event) or cls in wanted or not settings.get().owns(info.domain):
            continue
        # One that is read as others is heard by who hears those.
        if info.domain not in listened_to and not info.becomings:
            name = info.type_name
            text = (
                f"Nobody hears {name}: no projection, no subscriber, and no service that listens."
            )
            yield TopologyWarning("unheard event", name, text)
