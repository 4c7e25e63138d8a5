"""A saga as a flowchart in Mermaid's language, for pages that draw it themselves."""

from __future__ import annotations

from collections.abc import Iterator

from whizbang.operations.sagas.diagram.picture import Follows, MethodEntry, SagaPicture, Trigger
from whizbang.operations.sagas.diagram.reading import CANCEL, COMPLETE, FAIL, TIMEOUT, UNDO

# What would end a label or begin markup, as Mermaid writes characters; "#" first.
_ESCAPES = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"}


def draw_mermaid(found: SagaPicture) -> str:
    """The text of a flowchart; each event, command and timeout is one node however often it is met."""
    return "\n".join(["flowchart LR", *_Chart().lines(found)]) + "\n"


class _Chart:
    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], str] = {}
        self._nodes: list[str] = []
        self._edges: list[str] = []

    def lines(self, found: SagaPicture) -> Iterator[str]:
        for method in found.methods:
            self._add(method)
        yield from (f"    {line}" for line in (*self._nodes, *self._edges))

    def _add(self, method: MethodEntry) -> None:
        node = self._node("method", method.name, "[{}]", f"{method.name}()")
        for trigger in method.triggers:
            arrow = "-->|starts|" if trigger.is_start else "-->"
            self._edges.append(f"{self._trigger(trigger)} {arrow} {node}")
        for item in method.follows:
            self._edges.append(f"{node} {_ARROWS.get(item.kind, '-->')} {self._target(item)}")

    def _trigger(self, trigger: Trigger) -> str:
        if trigger.kind == "timeout":
            return self._timeout(trigger.name)
        text = f"{trigger.name} of {trigger.service}" if trigger.service else trigger.name
        return self._node("event", trigger.name, "([{}])", text)

    def _timeout(self, name: str) -> str:
        return self._node("timeout", name, "{{{{{}}}}}", f"timeout {name}")

    def _target(self, item: Follows) -> str:
        if not item.is_known:
            return self._node("unknown", item.text(), ">{}]", item.text())
        if item.kind in (TIMEOUT, CANCEL):
            return self._timeout(item.name)
        if item.kind in (COMPLETE, FAIL):
            text = "completed" if item.kind == COMPLETE else f"failed: {item.name}"
            return self._node("stop", text, "({})", text)
        to = f" to {item.service}" if item.service else ""
        return self._node("command", item.name, "[[{}]]", f"{item.name}{to}")

    def _node(self, kind: str, name: str, shape: str, text: str) -> str:
        known = self._ids.get((kind, name))
        if known is None:
            known = self._ids[kind, name] = f"{kind}{len(self._ids)}"
            self._nodes.append(known + shape.format(f'"{_escape(text)}"'))
        return known


_ARROWS = {TIMEOUT: "-. sets .->", CANCEL: "-. cancels .->", UNDO: "-. to undo it .->"}


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in " ".join(text.split()))
