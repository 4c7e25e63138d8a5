"""What a projection declares: its events and keys, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from whizbang.messages.base import Event

if TYPE_CHECKING:
    from whizbang.projections.free import Projection

F = TypeVar("F", bound=Callable[..., Any])


class Start(Enum):
    """Where a new subscription starts to read."""

    BEGINNING = "the beginning of the log"
    LIVE = "the head at the moment its row is made"

    def __repr__(self) -> str:
        return self.name


class RowChange(Enum):
    """What a projection's method may return instead of changing its row."""

    DELETE = "remove the row"

    def __repr__(self) -> str:
        return self.name


BEGINNING = Start.BEGINNING
LIVE = Start.LIVE
DELETE = RowChange.DELETE

declared: list[type[Projection]] = []
_instances: dict[type[Projection], Projection] = {}


def on(*event_types: type[Event], by: Any = None) -> Callable[[F], F]:
    """Mark the method that applies these events.

    `by` tells whose row an event changes, in a ModelProjection: a field of the event, or a function
    of event and metadata that gives a key or a list of keys.
    """
    for event_type in event_types:
        if not (isinstance(event_type, type) and issubclass(event_type, Event)):
            raise TypeError(f"@on takes Event classes, not {event_type!r}.")
    if isinstance(by, str):
        _check_field(event_types, by)

    def decorate(method: F) -> F:
        known = getattr(method, "__whizbang_on__", ())
        method.__whizbang_on__ = (*known, *((t, by) for t in event_types))  # type: ignore[attr-defined]
        return method

    return decorate


def _check_field(event_types: tuple[type[Event], ...], by: str) -> None:
    for event_type in event_types:
        fields = event_type.__struct_fields__
        if by not in fields:
            raise TypeError(
                f"{event_type.__name__} has no field {by!r} for `by`: it has {', '.join(fields)}."
            )


def instances() -> Iterator[Projection]:
    """One object for each declared projection; a class defined again replaces its elder."""
    newest = {(cls.__module__, cls.__qualname__): cls for cls in declared}
    for cls in newest.values():
        if cls not in _instances:
            _instances[cls] = cls()
        yield _instances[cls]


def problems(cls: type[Projection]) -> Iterator[str]:
    """What is wrong with a projection class, in words for a system check."""
    if not cls.methods:
        yield f"{cls.__name__} has no @on method."
    yield from cls.model_problems()
