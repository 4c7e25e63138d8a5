"""Stored events that are read as others: renamed with another shape, split, or left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from whizbang.messages.base import Event, Upcaster


class Part(NamedTuple):
    """What a stored event is read as; without a schema the data has its type's current one."""

    type: type[Event]
    data: dict[str, Any]
    schema: int | None = None


class Becoming(NamedTuple):
    """The last step of an upcast that ends in other types."""

    function: Callable[[dict[str, Any]], Any]
    into: tuple[type[Event], ...]
    gives_dict: bool  # of the one type, instead of an iterable of parts

    def parts(self, data: dict[str, Any]) -> Iterator[Part]:
        """The parts of a payload, in order. Raises TypeError for a type that `into` does not name."""
        given: Iterable[Any] = self.function(data)
        if self.gives_dict:
            yield Part(self.into[0], given)  # type: ignore[arg-type]
            return
        for item in given:
            part = Part(*item)
            if part.type not in self.into:
                raise TypeError(f"{self.function.__qualname__} gave {part.type!r}, not in `into`")
            yield part


class Steps:
    """How payloads of one stored type are brought up to date: from version to version."""

    __slots__ = ("becomings", "upcasters")

    def __init__(self) -> None:
        self.upcasters: dict[int, Upcaster] = {}
        self.becomings: dict[int, Becoming] = {}

    @property
    def schema(self) -> int:
        """The current version of the payload: one above the highest that a step starts from."""
        if not self.upcasters and not self.becomings:
            return 1  # most types, and asked for every event that is written
        return max(*self.upcasters, *self.becomings, 0) + 1

    def upcast(self, data: dict[str, Any], schema: int) -> dict[str, Any] | Iterator[Part]:
        """A payload of `schema` as of today, or the parts that it is read as."""
        for version in range(schema, self.schema):
            becoming = self.becomings.get(version)
            if becoming is not None:
                return becoming.parts(data)
            step = self.upcasters.get(version)
            if step is not None:
                data = step(data)
        return data


gone: dict[str, Steps] = {}  # by the stored name of types that no class has any more
retired: set[str] = set()  # stored names of events that are left out on purpose


def retire(*type_names: str) -> None:
    """Leave stored events of these types out wherever the log is read, though no class has the name.

    They stay in the log, and keep their versions and positions. Raises ValueError for a name without
    its domain.
    """
    for name in type_names:
        check_full_name(name)
    retired.update(type_names)


def check_full_name(name: str) -> None:
    if "." not in name.strip("."):
        raise ValueError(f"{name!r} needs the stored name of a type, such as 'orders.OrderPlaced'.")
