"""The picture of a saga on a page: drawn, as a table, and as text for pages that draw it themselves."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.safestring import SafeString, mark_safe

from whizbang.operations.sagas.diagram.drawing import draw_saga
from whizbang.operations.sagas.diagram.mermaid import draw_mermaid
from whizbang.operations.sagas.diagram.picture import MethodEntry, SagaPicture, picture_of
from whizbang.operations.sagas.diagram.taken import NOTHING_TAKEN, Taken, taken_by


@dataclass(frozen=True, slots=True)
class ShownPart:
    """A line of a cell; `is_taken`: the instance that the page is about has met it."""

    text: str
    is_taken: bool


@dataclass(frozen=True, slots=True)
class ShownMethod:
    name: ShownPart
    triggers: tuple[ShownPart, ...]
    follows: tuple[ShownPart, ...]


@dataclass(frozen=True, slots=True)
class ShownDiagram:
    saga: str
    svg: SafeString
    methods: tuple[ShownMethod, ...]
    mermaid: str
    is_whole: bool


def show_diagram(saga: str, key: str | None = None) -> ShownDiagram:
    """Of a saga, with what one instance has met. Raises WhizbangError where there is no such saga."""
    found = picture_of(saga)
    taken = NOTHING_TAKEN if key is None else taken_by(saga, key)
    return ShownDiagram(
        saga=saga,
        # All that is in it was escaped as it was drawn (whizbang/operations/svg.py).
        svg=mark_safe(draw_saga(found, taken)),
        methods=_methods(found, taken),
        mermaid=draw_mermaid(found),
        is_whole=found.is_whole,
    )


def _methods(found: SagaPicture, taken: Taken) -> tuple[ShownMethod, ...]:
    return tuple(_method(method, taken) for method in found.methods)


def _method(method: MethodEntry, taken: Taken) -> ShownMethod:
    return ShownMethod(
        ShownPart(f"{method.name}()", method.name in taken.methods),
        tuple(
            ShownPart(trigger.text(), taken.has_trigger(method, trigger))
            for trigger in method.triggers
        ),
        tuple(ShownPart(item.text(), taken.has_follows(method, item)) for item in method.follows),
    )
