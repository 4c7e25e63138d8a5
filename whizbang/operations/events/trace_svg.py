"""A correlation as SVG: a column for each stream or service, time downwards, arrows from causes to effects.

Drawn with presentation attributes only, so that it is shown under a strict Content-Security-Policy too. The
classes are for style sheets of pages that embed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from whizbang.operations.events.trace import COMMAND, STEP, UNKNOWN, Trace, TraceNode
from whizbang.operations.svg import arrow_head, element, plain, text

MOST_LANES = 8  # what comes later shares the last one
_MARGIN, _TOP = 24, 96
_LANE, _BOX, _HEIGHT, _ROW = 230, 206, 40, 62
_INK, _PALE, _LINES = "#1f2933", "#52606d", "#9aa5b1"
_STROKES = {"event": "#1d6fb8", STEP: "#6b46a8", COMMAND: "#b45309", UNKNOWN: "#9aa5b1"}
_BAD = "#b42318"
_FAILED = ("dead", "failed", "expired")
_WORDS = {
    "event": "event",
    STEP: "step of a saga",
    COMMAND: "command",
    UNKNOWN: "not known here",
}
Address = Callable[[TraceNode], str]


def by_stream(node: TraceNode) -> str:
    """The lane of a node where each stream has one."""
    if node.stream:
        return node.stream
    return f"commands of {node.service}" if node.service else "commands"


def by_service(node: TraceNode) -> str:
    """The lane of a node where each service has one."""
    return node.outside or node.service or "service not known"


@dataclass(frozen=True, slots=True)
class _Place:
    node: TraceNode
    x: float
    y: float  # the upper edge

    @property
    def middle(self) -> float:
        return self.x + _BOX / 2


def draw_trace(
    found: Trace,
    *,
    lane_of: Callable[[TraceNode], str] = by_stream,
    address_of: Address = lambda node: "",
) -> str:
    """An SVG document, as wide as it has lanes and as high as it has nodes; `address_of` gives links."""
    lanes = _lanes_of(found, lane_of)
    places = {
        node.id: _Place(node, _MARGIN + lanes[lane_of(node)] * _LANE, _TOP + row * _ROW)
        for row, node in enumerate(found.nodes)
    }
    names = _names_of(lanes)
    width = max(_MARGIN * 2 + len(names) * _LANE, 640)
    height = _TOP + len(found.nodes) * _ROW + 40
    return element(
        "svg",
        [
            element("title", plain(f"Correlation {found.correlation_id}"), id="trace-title"),
            element("desc", plain(describe_trace(found)), id="trace-desc"),
            element("defs", arrow_head("trace-arrow", color=_LINES)),
            element("rect", width=width, height=height, fill="#ffffff", class_="background"),
            *_headings(found, names, width, height),
            *(part for place in places.values() for part in _arrow(place, places)),
            *(_box(place, address_of(place.node)) for place in places.values()),
            *_legend(height - 16),
        ],
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img" if not any(address_of(node) for node in found.nodes) else "group",
        aria_labelledby="trace-title trace-desc",
        font_family="system-ui, sans-serif",
        class_="whizbang-trace",
    )


def describe_trace(found: Trace) -> str:
    """The picture in words, for who does not see it."""
    counts: dict[str, int] = {}
    for node in found.nodes:
        counts[node.kind] = counts.get(node.kind, 0) + 1
    words = [f"{_WORDS[kind]}: {count}" for kind, count in counts.items()]
    return f"{', '.join(words) or 'Nothing is known here'}. The table beside it has the same."


def _lanes_of(found: Trace, lane_of: Callable[[TraceNode], str]) -> dict[str, int]:
    lanes: dict[str, int] = {}
    for node in found.nodes:
        lanes.setdefault(lane_of(node), min(len(lanes), MOST_LANES - 1))
    return lanes


def _names_of(lanes: dict[str, int]) -> list[str]:
    """What stands over each column."""
    names: dict[int, str] = {}
    for name, index in lanes.items():
        names[index] = f"and {len(lanes) - index} others" if index in names else name
    return [names[index] for index in sorted(names)]


def _headings(found: Trace, names: list[str], width: float, height: float) -> Iterator[str]:
    title = f"Correlation {found.correlation_id}"
    yield text(title, room=width - 2 * _MARGIN, size=16, x=_MARGIN, y=32, fill=_INK)
    if found.is_cut:
        line = f"Only its first {found.most} events are drawn."
        yield text(line, room=width - 2 * _MARGIN, size=12, x=_MARGIN, y=52, fill=_BAD)
    for index, name in enumerate(names):
        x = _MARGIN + index * _LANE
        yield text(
            name,
            room=_BOX,
            size=12,
            x=x,
            y=_TOP - 16,
            fill=_PALE,
            font_weight="bold",
            class_="lane",
        )
        line = f"M{x - 12} {_TOP - 8} V{height - 40}"
        yield element("path", d=line, stroke=_LINES, stroke_opacity=0.35, class_="lane")


def _box(place: _Place, address: str) -> str:
    node = place.node
    is_bad = node.status in _FAILED
    drawn = [
        element("title", plain(_tooltip(node))),
        element(
            "rect",
            x=place.x,
            y=place.y,
            width=_BOX,
            height=_HEIGHT,
            rx=20 if node.kind == COMMAND else 4,
            fill="#ffffff",
            stroke=_BAD if is_bad else _STROKES[node.kind],
            stroke_width=2 if is_bad else 1.4,
            class_=f"{node.kind} bad" if is_bad else node.kind,
            **({"stroke_dasharray": "4 3"} if node.kind == UNKNOWN else {}),
        ),
        text(_name(node), room=_BOX - 24, size=12, x=place.x + 12, y=place.y + 17, fill=_INK),
        text(_line(node), room=_BOX - 24, size=11, x=place.x + 12, y=place.y + 32, fill=_PALE),
    ]
    return element("a", drawn, href=address) if address else element("g", drawn)


def _name(node: TraceNode) -> str:
    if node.kind == UNKNOWN:
        return f"in service {node.outside}" if node.outside else "not known here any more"
    return node.text if node.kind == STEP and node.text else node.type


def _line(node: TraceNode) -> str:
    """Below the name: how long after its cause, and how it stands."""
    words = [] if node.seconds is None else [f"+{duration(node.seconds)}"]
    if node.seconds is None and node.at is not None:
        words.append(f"{node.at:%Y-%m-%d %H:%M:%S}")
    if node.status:
        words.append(node.status)
    if node.version:
        words.append(f"version {node.version}")
    return " · ".join(words)


def _tooltip(node: TraceNode) -> str:
    at = "" if node.at is None else f" at {node.at:%Y-%m-%d %H:%M:%S.%f}"
    return f"{_WORDS[node.kind]} {node.type} {node.stream}{at}"


def _arrow(place: _Place, places: dict[UUID, _Place]) -> Iterator[str]:
    cause = places.get(place.node.cause) if place.node.cause is not None else None
    if cause is None:
        return
    y, to_y = cause.y + _HEIGHT, place.y
    if cause.y >= place.y:  # ids that cause each other
        y, to_y = cause.y, place.y + _HEIGHT
    x, to_x = cause.middle, place.middle
    if cause.x == place.x:  # beside the boxes between them
        x = to_x = place.x + 20
    bend = max((to_y - y) / 2, 12)
    curve = f"C{x:g} {y + bend:g} {to_x:g} {to_y - bend:g} {to_x:g} {to_y:g}"
    yield element(
        "path",
        d=f"M{x:g} {y:g} {curve}",
        fill="none",
        stroke=_LINES,
        stroke_width=1.4,
        marker_end="url(#trace-arrow)",
        class_="cause",
    )


def _legend(y: float) -> Iterator[str]:
    x: float = _MARGIN
    for kind, words in _WORDS.items():
        yield element(
            "rect",
            x=x,
            y=y - 10,
            width=16,
            height=12,
            rx=6 if kind == COMMAND else 2,
            fill="none",
            stroke=_STROKES[kind],
            class_=kind,
            **({"stroke_dasharray": "4 3"} if kind == UNKNOWN else {}),
        )
        yield text(words, room=200, size=12, x=x + 22, y=y, fill=_PALE)
        x += 150


def duration(seconds: float) -> str:
    """How long something took, as people say it: 3.2 ms, 1.25 s, 2 min 5 s, 3 h 20 min, 2 d 4 h."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = int(seconds)
    for size, name, below, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // below} {smaller}"
    return f"{whole // 60} min {whole % 60} s"
