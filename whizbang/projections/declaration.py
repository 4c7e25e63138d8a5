"""What a projection declares: its events, its delivery and where it starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Start(Enum):
    BEGINNING = "BEGINNING"
    LIVE = "LIVE"

    def __repr__(self) -> str:
        return self.name


class RowChange(Enum):
    DELETE = "DELETE"


BEGINNING = Start.BEGINNING
LIVE = Start.LIVE
DELETE = RowChange.DELETE
declared: list[type] = []


def on(*event_types: Any, by: Any = None) -> Callable[[F], F]:
    def decorate(method: F) -> F:
        method.__whizbang_on__ = [  # type: ignore[attr-defined]
            *getattr(method, "__whizbang_on__", ()),
            *((t, by) for t in event_types),
        ]
        return method

    return decorate


_instances: dict[type, Any] = {}


def instances() -> Iterator[Any]:
    newest = {(c.__module__, c.__qualname__): c for c in declared}
    for cls in newest.values():
        if cls not in _instances:
            _instances[cls] = cls()
        yield _instances[cls]


def problems(cls: type) -> Iterator[str]:
    return iter(())
