"""What a projection declares: its events, where it starts, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from whizbang.messages.base import Event

if TYPE_CHECKING:
    from whizbang.projections.free import Projection

F = TypeVar("F", bound=Callable[..., Any])
By = str | Callable[[Any, Any], Any] | None


class Start(Enum):
    """Where a new subscription begins to read."""

    BEGINNING = "BEGINNING"
    LIVE = "LIVE"

    def __repr__(self) -> str:
        return self.name


class RowChange(Enum):
    """What a projection's method can return instead of changing its row."""

    DELETE = "DELETE"

    def __repr__(self) -> str:
        return self.name


BEGINNING = Start.BEGINNING
LIVE = Start.LIVE
DELETE = RowChange.DELETE

declared: list[type[Projection]] = []
_instances: dict[type[Projection], Projection] = {}


def on(*event_types: type[Event], by: By = None) -> Callable[[F], F]:
    """Mark a method as the reaction to events; may be stacked.

    `by` says which row or saga is meant: a field of the event, or f(event, meta) that gives a key, or a
    list, tuple or set of keys (an empty one: none).
    """
    for event_type in event_types:
        if not (isinstance(event_type, type) and issubclass(event_type, Event)):
            raise TypeError(f"@on takes Event classes, not {event_type!r}.")
    if not event_types:
        raise TypeError("@on needs at least one Event class.")

    def decorate(method: F) -> F:
        # Decorators run from the inside out: the marks are kept in the order in which they are read.
        marks = [*((t, by) for t in event_types), *getattr(method, "__whizbang_on__", ())]
        method.__whizbang_on__ = marks  # type: ignore[attr-defined]
        return method

    return decorate


def collect_reactions(cls: type) -> dict[type[Event], list[tuple[str, By]]]:
    """Which methods of a class react to which events, bases first.

    An override without @on keeps the marks of what it overrides; setting the name to None drops it.
    """
    marks: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for name, value in base.__dict__.items():
            if hasattr(value, "__whizbang_on__"):
                marks[name] = value.__whizbang_on__
            elif value is None:
                marks.pop(name, None)
    reactions: dict[type[Event], list[tuple[str, By]]] = {}
    for name, pairs in marks.items():
        for event_type, by in pairs:
            reactions.setdefault(event_type, []).append((name, by))
    return reactions


def instances() -> Iterator[Projection]:
    """One object a declared projection; of a class that was defined again, the newest."""
    newest = {(cls.__module__, cls.__qualname__): cls for cls in declared}
    for cls in newest.values():
        if cls not in _instances:
            _instances[cls] = cls()
        yield _instances[cls]


def problems(cls: type[Projection]) -> Iterator[str]:
    """What is wrong with a projection's declaration, each in a sentence that names the class."""
    place = f"{cls.__module__}.{cls.__qualname__}"
    if not cls.reactions:
        yield f"{place} reacts to no event: mark its methods with @on(SomeEvent)."
    for event_type, pairs in cls.reactions.items():
        for name, by in pairs:
            problem = _problem_of_key(event_type, by, cls.needs_keys)
            if problem:
                yield f"{place}.{name}: {problem}"
    for problem in _problems_of_partitioning(cls):
        yield f"{place}: {problem}"
    for problem in cls.own_problems():
        yield f"{place}: {problem}"


def _problem_of_key(event_type: type[Event], by: By, needs_key: bool) -> str | None:
    if by is None:
        if not needs_key:
            return None
        return f"@on({event_type.__name__}) needs by=…, the event's field that is the row's key."
    if not isinstance(by, str):
        return None if callable(by) else f"by is {by!r}: name a field, or give f(event, meta)."
    fields = event_type.__struct_fields__
    if by in fields:
        return None
    return (
        f"{event_type.__name__} has no field {by!r}; its fields are {', '.join(fields) or 'none'}."
    )


def _problems_of_partitioning(cls: type[Projection]) -> Iterator[str]:
    if cls.partition_by is None:
        return
    if cls.partition_by not in ("stream", "key"):
        yield f'partition_by is {cls.partition_by!r}: use "stream", "key" or None.'
        return
    if cls.delivery == "inline":
        yield "an inline projection is written with its events: it has no partitions; drop partition_by."
    if cls.partition_by == "key" and not cls.needs_keys:
        without = sorted({n for pairs in cls.reactions.values() for n, by in pairs if by is None})
        for name in without:
            yield f'partition_by = "key" needs the key of {name}(): give its @on a by=….'
