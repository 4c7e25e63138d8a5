"""Nodes of a correlation as lines of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as translate

from whizbang.operations.events.trace import COMMAND, STEP, UNKNOWN, TraceNode
from whizbang.operations.events.trace_svg import duration


@dataclass(frozen=True, slots=True)
class ShownNode:
    """One message with what a table says of it; `number` is its line, `caused_by` that of its cause."""

    node: TraceNode
    kind: str
    name: str
    after: str
    url: str
    number: int
    caused_by: int | None


def show_nodes(
    nodes: Iterable[TraceNode], address_of: Callable[[TraceNode], str]
) -> list[ShownNode]:
    """In the same order."""
    found, numbers = list(nodes), {}
    for number, node in enumerate(found, 1):
        numbers[node.id] = number
    return [
        ShownNode(
            node=node,
            kind=_kind(node),
            name=_name(node),
            after="" if node.seconds is None else duration(node.seconds),
            url=address_of(node),
            number=numbers[node.id],
            caused_by=numbers.get(node.cause) if node.cause is not None else None,
        )
        for node in found
    ]


def _kind(node: TraceNode) -> str:
    if node.kind == COMMAND:
        return translate("command")
    if node.kind == STEP:
        return translate("step of a saga")
    return translate("not known here") if node.kind == UNKNOWN else translate("event")


def _name(node: TraceNode) -> str:
    if node.kind == UNKNOWN:
        if node.outside:
            return translate("A message in service %s") % node.outside
        return translate("A message that was handled at once, or whose row is gone")
    return f"{node.type} {node.text}" if node.text else node.type
