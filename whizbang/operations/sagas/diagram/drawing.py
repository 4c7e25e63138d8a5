"""A saga as SVG: what it hears on the left, its methods, and what follows on the right.

Drawn with presentation attributes only, so that it is shown under a strict Content-Security-Policy too. The
classes are for style sheets of pages that embed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from whizbang.operations.sagas.diagram.picture import Follows, MethodEntry, SagaPicture, Trigger
from whizbang.operations.sagas.diagram.reading import (
    CANCEL,
    COMPLETE,
    FAIL,
    SEND,
    TIMEOUT,
    UNDO,
)
from whizbang.operations.sagas.diagram.taken import NOTHING_TAKEN, Taken
from whizbang.operations.svg import arrow_head, element, plain, text
from whizbang.sagas.saga import DEAD_LETTER, IGNORE, START

_MARGIN, _TOP = 24, 92
_BOX, _GAP, _ROOM = 26, 8, 24  # a box's height, between two of a method, between two methods
_TRIGGERS_X, _TRIGGERS = _MARGIN, 380
_METHODS_X, _METHODS = _TRIGGERS_X + _TRIGGERS + 60, 200
_FOLLOWS_X, _FOLLOWS = _METHODS_X + _METHODS + 60, 380
_WIDTH = _FOLLOWS_X + _FOLLOWS + _MARGIN
_INK, _PALE, _LINES = "#1f2933", "#52606d", "#9aa5b1"
_EVENT, _COMMAND, _TIME = "#1d6fb8", "#b45309", "#6b46a8"
_GOOD, _BAD = "#18794e", "#b42318"
_STROKES = {
    "event": _EVENT,
    TIMEOUT: _TIME,
    SEND: _COMMAND,
    UNDO: _COMMAND,
    CANCEL: _TIME,
    COMPLETE: _GOOD,
    FAIL: _BAD,
}
_DASHED = (UNDO, CANCEL)
_UNMATCHED = {
    IGNORE: "and may not start one is ignored",
    START: "starts one",
    DEAD_LETTER: "and may not start one becomes a dead letter",
}
_HEADINGS = (
    (_TRIGGERS_X, "Hears"),
    (_METHODS_X, "Method"),
    (_FOLLOWS_X, "Then"),
)


@dataclass(frozen=True, slots=True)
class _Row:
    """A method with what it hears and what follows, each beside the middle of the row."""

    method: MethodEntry
    top: float

    @property
    def height(self) -> float:
        count = max(len(self.method.triggers), len(self.method.follows), 1)
        return count * (_BOX + _GAP) - _GAP

    @property
    def middle(self) -> float:
        return self.top + self.height / 2

    def middles(self, items: Sequence[object]) -> list[float]:
        first = self.middle - (len(items) - 1) * (_BOX + _GAP) / 2
        return [first + index * (_BOX + _GAP) for index in range(len(items))]


def draw_saga(found: SagaPicture, taken: Taken = NOTHING_TAKEN) -> str:
    """An SVG document; its width is fixed, its height grows with the methods.

    What an instance has `taken` has a check mark and a thick line.
    """
    rows = list(_place(found))
    bottom = rows[-1].top + rows[-1].height if rows else _TOP
    legend = list(_legend(found, taken, bottom + _ROOM + 12))
    height = bottom + _ROOM + 18 * len(legend) + _MARGIN
    return element(
        "svg",
        [
            element("title", plain(f"Saga {found.saga}"), id="saga-title"),
            element("desc", plain(_describe(found, taken)), id="saga-desc"),
            element("defs", arrow_head("saga-arrow", color=_LINES)),
            element("rect", width=_WIDTH, height=height, fill="#ffffff", class_="background"),
            *_headings(found),
            *(part for row in rows for part in _draw_row(row, taken)),
            *legend,
        ],
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height:g}",
        width=_WIDTH,
        height=f"{height:g}",
        role="img",
        aria_labelledby="saga-title saga-desc",
        font_family="system-ui, sans-serif",
        class_="whizbang-saga",
    )


def _place(found: SagaPicture) -> Iterator[_Row]:
    top: float = _TOP
    for method in found.methods:
        row = _Row(method, top)
        yield row
        top += row.height + _ROOM


def _describe(found: SagaPicture, taken: Taken) -> str:
    """The picture in words, for who does not see it."""
    return " ".join(_sentence(method, taken) for method in found.methods)


def _sentence(method: MethodEntry, taken: Taken) -> str:
    heard = " or ".join(trigger.text() for trigger in method.triggers)
    follows = ", ".join(item.text() for item in method.follows) or "nothing else"
    met = " This instance has met it." if method.name in taken.methods else ""
    return f"On {heard}, {method.name}() asks for: {follows}.{met}"


def _headings(found: SagaPicture) -> Iterator[str]:
    room = _WIDTH - 2 * _MARGIN
    yield text(f"Saga {found.saga}", room=room, size=18, x=_MARGIN, y=34, fill=_INK)
    line = f"An event that finds no instance {_UNMATCHED[found.unmatched]}."
    yield text(line, room=room, size=12, x=_MARGIN, y=54, fill=_PALE)
    for x, name in _HEADINGS:
        yield text(name, room=_TRIGGERS, x=x, y=_TOP - 14, fill=_PALE, font_weight="bold")


def _draw_row(row: _Row, taken: Taken) -> Iterator[str]:
    method = row.method
    for trigger, y in zip(method.triggers, row.middles(method.triggers), strict=True):
        yield _arrow(_TRIGGERS_X + _TRIGGERS, y, _METHODS_X, row.middle)
        yield from _draw_trigger(trigger, y, is_taken=taken.has_trigger(method, trigger))
    for item, y in zip(method.follows, row.middles(method.follows), strict=True):
        yield _arrow(_METHODS_X + _METHODS, row.middle, _FOLLOWS_X, y)
        yield from _draw_follows(item, y, is_taken=taken.has_follows(method, item))
    yield from _box(
        f"{method.name}()",
        _METHODS_X,
        row.middle,
        _METHODS,
        stroke=_LINES,
        fill="#f5f7fa",
        class_="method",
        is_taken=method.name in taken.methods,
    )


def _draw_trigger(trigger: Trigger, y: float, *, is_taken: bool) -> Iterator[str]:
    is_start = trigger.is_start
    yield from _box(
        trigger.text(),
        _TRIGGERS_X,
        y,
        _TRIGGERS,
        stroke=_STROKES[trigger.kind],
        stroke_width=2 if is_start else 1,
        fill="#e6f0fa" if is_start else "#ffffff",
        rx=_BOX / 2,
        class_=f"{trigger.kind} start" if is_start else trigger.kind,
        is_taken=is_taken,
    )


def _draw_follows(item: Follows, y: float, *, is_taken: bool) -> Iterator[str]:
    is_dashed = item.kind in _DASHED or not item.is_known
    yield from _box(
        item.text(),
        _FOLLOWS_X,
        y,
        _FOLLOWS,
        stroke=_STROKES.get(item.kind, _LINES) if item.is_known else _BAD,
        fill="#ffffff",
        rx=_BOX / 2 if item.kind in (TIMEOUT, CANCEL) else 3,
        class_=item.kind if item.is_known else f"{item.kind} unknown",
        is_taken=is_taken,
        **({"stroke_dasharray": "4 3"} if is_dashed else {}),
    )


def _box(
    name: str, x: float, y: float, width: float, *, is_taken: bool, **attributes: object
) -> Iterator[str]:
    if is_taken:
        attributes |= {"stroke_width": 3, "class_": f"{attributes['class_']} taken"}
        name = f"✓ {name}"
    yield element("rect", None, x=x, y=f"{y - _BOX / 2:g}", width=width, height=_BOX, **attributes)
    yield text(name, room=width - 24, size=12, x=x + 12, y=f"{y + 4:g}", fill=_INK, class_="name")


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    bend = (to_x - x) / 2
    curve = f"C{x + bend:g} {y:g} {to_x - bend:g} {to_y:g} {to_x:g} {to_y:g}"
    return element(
        "path",
        d=f"M{x:g} {y:g} {curve}",
        fill="none",
        stroke=_LINES,
        stroke_width=1.4,
        marker_end="url(#saga-arrow)",
    )


def _legend(found: SagaPicture, taken: Taken, y: float) -> Iterator[str]:
    lines = [
        "Filled: may start an instance. Dashed “undo by”: kept, and sent should the saga fail or be cancelled, "
        "the last first."
    ]
    if taken.methods:
        lines.append("✓, with a thick line: this instance has met it.")
    if not found.is_whole:
        lines.append("Dashed in red: the code would have to be run to know.")
    for index, line in enumerate(lines):
        at = f"{y + 18 * index:g}"
        yield text(line, room=_WIDTH, size=12, x=_MARGIN, y=at, fill=_PALE)
