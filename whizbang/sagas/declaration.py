"""Which sagas there are, and what is wrong with how they are declared."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from whizbang.conf import settings
from whizbang.domain import aggregate
from whizbang.messages.base import Event
from whizbang.messages.signatures import check_takes
from whizbang.sagas.saga import DEAD_LETTER, IGNORE, START, Saga, declared

_UNMATCHED = (IGNORE, START, DEAD_LETTER)


def all_sagas() -> list[type[Saga]]:
    """Every declared saga; of a class that was defined again, the newest."""
    return list({(cls.__module__, cls.__qualname__): cls for cls in declared}.values())


def sagas_here() -> list[type[Saga]]:
    """Those of the domains that this service owns."""
    owns = settings.get().owns
    return [cls for cls in all_sagas() if owns(cls.domain())]


def find_saga(name: str) -> type[Saga] | None:
    """The saga of this name; None when no class has it."""
    return next((cls for cls in all_sagas() if cls.name() == name), None)


def problems(cls: type[Saga]) -> Iterator[str]:
    """What is wrong with a saga's declaration, each in a sentence that names the class."""
    place = f"{cls.__module__}.{cls.__qualname__}"
    if not cls.reactions:
        yield f"{place} hears no event: mark its methods with @starts_on(SomeEvent, by=…) and @on."
    elif not cls.starters and cls.unmatched != START:
        yield f'{place} can never start: mark a method with @starts_on, or say unmatched = "start".'
    if cls.unmatched not in _UNMATCHED:
        choices = ", ".join(f'"{choice}"' for choice in _UNMATCHED)
        yield f"{place}.unmatched is {cls.unmatched!r}: use one of {choices}."
    for event_type, pairs in cls.reactions.items():
        for name, by in pairs:
            for problem in _problems_of_reaction(cls, event_type, name, by):
                yield f"{place}.{name}: {problem}"
    yield from _problems_of_state(cls, place)
    yield from _problems_of_name(cls, place)


def _problems_of_reaction(
    cls: type[Saga], event_type: type[Event], name: str, by: Any
) -> Iterator[str]:
    try:
        check_takes(getattr(cls, name), "self", "event", decorator="on")
    except TypeError as exc:
        yield str(exc)
    fields = event_type.__struct_fields__
    if by is None:
        yield f"@on({event_type.__name__}) needs by=…, the event's field that names the instance."
    elif isinstance(by, str) and by not in fields:
        yield f"{event_type.__name__} has no field {by!r}; its fields are {', '.join(fields) or 'none'}."
    elif not isinstance(by, str) and not callable(by):
        yield f"by is {by!r}: name a field, or give f(event, meta)."


def _problems_of_state(cls: type[Saga], place: str) -> Iterator[str]:
    own = {n for n, _ in inspect.getmembers(Saga)} | {"key"}
    shadowed = sorted(own & cls.__dict__.get("__annotations__", {}).keys() - _settings_of(cls))
    if shadowed:
        yield f"{place}: {', '.join(shadowed)} is a name of every saga: call the field something else."
        return
    try:
        cls.state_type()
    except (TypeError, NameError, ValueError) as exc:
        yield f"{place}: its annotated attributes cannot be a state ({exc}): annotate types that msgspec stores."


def _settings_of(cls: type[Any]) -> set[str]:
    return {"category", "unmatched", "backfill_from", "abstract"}


def _problems_of_name(cls: type[Saga], place: str) -> Iterator[str]:
    name = cls.name()
    for other in all_sagas():
        if other is not cls and other.name() == name:
            yield f"{place} and {other.__module__}.{other.__qualname__} are both called {name!r}."
    for other_type in aggregate.declared:
        if other_type._category() == name:
            yield f"{place} and the aggregate {other_type.__qualname__} would share the streams {name}-…."
