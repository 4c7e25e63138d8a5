"""Inline projections and subscribers: run by the unit of work, in the events' transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whizbang.conf import settings
from whizbang.domain import unit_of_work
from whizbang.projections import declaration
from whizbang.routing.registry import Subscriber, registry
from whizbang.store.event_store import Recorded

_by_type: dict[type, tuple[list[Any], list[Subscriber]]] = {}
_state: tuple[int, int] = (-1, -1)


def project(unit: unit_of_work.UnitOfWork, recorded: Sequence[Recorded]) -> None:
    """Write the inline projections of these events, by name; rows are locked in key order."""
    wanted: dict[str, tuple[Any, list[Recorded]]] = {}
    for item in recorded:
        for projection in _reactions_to(type(item.event))[0]:
            wanted.setdefault(projection.name, (projection, []))[1].append(item)
    # Always in the same order, so that two transactions do not wait for each other's rows.
    for _, (projection, events) in sorted(wanted.items()):
        projection.apply_batch(events, using=projection.using or unit.store.using)


def call_subscribers(unit: unit_of_work.UnitOfWork, recorded: Sequence[Recorded]) -> None:
    """Call inline subscribers; what they record is appended next, what they send goes along."""
    from whizbang.subscriptions.subscriber import call_subscriber

    for item in recorded:
        for subscriber in _reactions_to(type(item.event))[1]:
            call_subscriber(subscriber, item, unit)


def _reactions_to(event_type: type) -> tuple[list[Any], list[Subscriber]]:
    global _state
    state = (len(declaration.declared), registry.generation)
    if state != _state:
        forget()
        _state = state
    found = _by_type.get(event_type)
    if found is None:
        projections = [
            p
            for p in declaration.instances()
            if p.delivery == "inline"
            and event_type in p.event_types()
            and settings.get().owns(p.domain)
        ]
        subscribers = [
            s
            for s in registry.subscribers
            if s.delivery == "inline"
            and event_type in s.event_types
            and settings.get().owns(s.domain)
        ]
        found = _by_type[event_type] = (projections, subscribers)
    return found


def forget() -> None:
    _by_type.clear()


settings.on_change(forget)
unit_of_work.reactions.append((lambda cls: bool(_reactions_to(cls)[1]), call_subscribers))
unit_of_work.finishers.append((lambda cls: bool(_reactions_to(cls)[0]), project))
