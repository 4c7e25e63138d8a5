"""Projections of free form: any code that follows events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from whizbang.messages.base import Event, domain_of_module
from whizbang.projections.declaration import BEGINNING, declared
from whizbang.store.event_store import Recorded


class Projection:
    """Follows events and writes a read model by any ORM code.

    `delivery`: "async" (a worker, after the commit) or "inline" (in the events' transaction).
    `version`: raise it when the code changes meaning; status then says "needs rebuild".
    `using`: alias of the database it writes to; None is the store's. It can be rebuilt when it has a
    `clear()` that removes all that it wrote. A class with `abstract = True` is a base for others.
    """

    delivery: ClassVar[str] = "async"
    version: ClassVar[int] = 1
    backfill_from: ClassVar[Any] = BEGINNING
    using: ClassVar[str | None] = None
    abstract: ClassVar[bool] = True

    methods: ClassVar[dict[type[Event], list[tuple[str, Any]]]] = {}  # (method's name, by)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.methods = _collect_methods(cls)
        if not cls.__dict__.get("abstract", False):
            declared.append(cls)

    @property
    def name(self) -> str:
        """Name of the subscription: the domain and the class."""
        return f"{domain_of_module(type(self).__module__)}.{type(self).__name__}"

    @property
    def is_rebuildable(self) -> bool:
        return hasattr(self, "clear")

    def event_types(self) -> set[type[Event]]:
        return set(self.methods)

    def apply_batch(self, events: Sequence[Recorded], *, using: str) -> None:
        """Apply events in order, in the caller's transaction."""
        for recorded in events:
            for name, _ in self.methods.get(type(recorded.event), ()):
                getattr(self, name)(recorded.event, recorded.meta)

    @classmethod
    def model_problems(cls) -> Iterator[str]:
        return iter(())


def _collect_methods(cls: type[Projection]) -> dict[type[Event], list[tuple[str, Any]]]:
    """Methods by event type; a method that a subclass overrides counts once."""
    found: dict[type[Event], list[tuple[str, Any]]] = {}
    names = dict.fromkeys(name for base in reversed(cls.__mro__) for name in base.__dict__)
    for name in names:
        for event_type, by in getattr(getattr(cls, name, None), "__whizbang_on__", ()):
            found.setdefault(event_type, []).append((name, by))
    return found
