"""The map of services as a picture: services, the topics they publish to, and their queues.

Drawn with presentation attributes only, so that it is shown under a strict Content-Security-Policy too. The
classes are for style sheets of pages that embed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from whizbang.operations.svg import arrow_head, element, plain, text
from whizbang.operations.topology import ServiceEntry, ServiceMap

_MARGIN, _TOP = 24, 92
_LINE, _HEAD, _PAD, _GAP = 24, 30, 8, 14
_BOX, _TOPIC = 260, 220
_SERVICES_X = _MARGIN
_TOPICS_X = _SERVICES_X + _BOX + 90
_QUEUES_X = _TOPICS_X + _TOPIC + 190
_WIDTH = _QUEUES_X + _BOX + _MARGIN
_INK, _PALE, _LINES = "#1f2933", "#52606d", "#9aa5b1"
_EVENTS, _COMMANDS, _WARN = "#1d6fb8", "#b45309", "#b42318"
_HERE_FILL, _FILL, _TOPIC_FILL = "#e6f0fa", "#f5f7fa", "#ffffff"


@dataclass(frozen=True, slots=True)
class _Row:
    """A service with its box and its queue, from `top` on; its domains are lines of the box."""

    service: ServiceEntry
    top: float

    @property
    def height(self) -> float:
        return _HEAD + max(len(self.service.owns), 1) * _LINE + _PAD

    @property
    def head_y(self) -> float:
        return self.top + _HEAD / 2 + 4

    def line_y(self, index: int) -> float:
        return self.top + _HEAD + index * _LINE + _LINE / 2


def draw_topology(found: ServiceMap) -> str:
    """An SVG document; its width is fixed, its height grows with services and their domains."""
    rows = list(_place(found))
    topics = _place_topics(rows, found)
    bottom = max([row.top + row.height for row in rows] + [y + _LINE for y in topics.values()])
    height = bottom + _GAP + _LINE + _MARGIN
    return element(
        "svg",
        [
            element("title", plain(f"Topology of {found.service}"), id="topology-title"),
            element("desc", plain(_describe(found)), id="topology-desc"),
            element(
                "defs",
                [
                    arrow_head("topology-events", color=_EVENTS),
                    arrow_head("topology-commands", color=_COMMANDS),
                ],
            ),
            element("rect", width=_WIDTH, height=height, fill="#ffffff", class_="background"),
            *_headings(found),
            *_event_arrows(rows, topics, found),
            *_command_arrows(rows, found),
            *_services(rows),
            *_topics(topics, found),
            *(_queues(rows, found) if len(rows) > 1 else ()),
            *(_legend(height - _MARGIN) if len(rows) > 1 else ()),
        ],
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height:g}",
        width=_WIDTH,
        height=f"{height:g}",
        role="img",
        aria_labelledby="topology-title topology-desc",
        font_family="system-ui, sans-serif",
        class_="whizbang-topology",
    )


def _place(found: ServiceMap) -> Iterator[_Row]:
    top: float = _TOP
    for service in found.services:
        row = _Row(service, top)
        yield row
        top += row.height + _GAP


def _place_topics(rows: list[_Row], found: ServiceMap) -> dict[str, float]:
    """The middle of each topic: beside the domain that it belongs to; those that nobody owns at the end."""
    places: dict[str, float] = {}
    for row in rows:
        for index, domain in enumerate(row.service.owns):
            if domain in row.service.publishes:
                places.setdefault(domain, row.line_y(index))
    y = rows[-1].top + rows[-1].height + _GAP + _LINE / 2
    for domain in _ownerless(found):
        places[domain] = y
        y += _LINE + 4
    return places


def _ownerless(found: ServiceMap) -> list[str]:
    return [w.subject for w in found.warnings if w.kind == "unowned domain"]


def _describe(found: ServiceMap) -> str:
    """The picture in words, for who does not see it."""
    sentences = []
    for service in found.services:
        words = f"{service.name} owns {', '.join(service.owns) or 'nothing'}"
        words += f" and listens to {', '.join(service.listens_to)}" if service.listens_to else ""
        sentences.append(f"{words}.")
    sent = [(s.name, _count_sent(found, s.name)) for s in found.services if not s.is_here]
    sentences += [
        f"Commands that go to the queue of {name}: {count}." for name, count in sent if count
    ]
    sentences += [warning.text for warning in found.warnings if warning.kind == "unowned domain"]
    return " ".join(sentences)


def _count_sent(found: ServiceMap, service: str) -> int:
    return sum(command.queue == service for command in found.commands)


def _headings(found: ServiceMap) -> Iterator[str]:
    brokers = ", ".join(f"{b.alias}: {b.backend.rpartition('.')[2]}" for b in found.brokers)
    title = f"Topology of {found.service}"
    yield text(title, room=_WIDTH - 2 * _MARGIN, size=18, x=_MARGIN, y=34, fill=_INK)
    if len(found.services) == 1:
        return
    line = f"Broker {brokers}"
    yield text(line, room=_WIDTH - 2 * _MARGIN, size=12, x=_MARGIN, y=54, fill=_PALE)
    columns = ((_SERVICES_X, "Services"), (_TOPICS_X, "Topics"), (_QUEUES_X, "Queues"))
    for x, name in columns:
        yield text(name, room=_BOX, x=x, y=_TOP - 12, fill=_PALE, font_weight="bold")


def _services(rows: list[_Row]) -> Iterator[str]:
    for row in rows:
        name = row.service.name + (" (this service)" if row.service.is_here else "")
        yield from _box(row, _SERVICES_X, name, row.service.owns or ("owns no domain",), "service")


def _queues(rows: list[_Row], found: ServiceMap) -> Iterator[str]:
    for row in rows:
        lines = []
        if count := _count_sent(found, row.service.name):
            lines.append(f"commands known here: {count}")
        if row.service.is_here:
            handled = sum(command.handler is not None for command in found.commands)
            lines.append(f"commands handled: {handled}")
        yield from _box(row, _QUEUES_X, f"queue of {row.service.name}", tuple(lines), "queue")


def _box(row: _Row, x: float, name: str, lines: tuple[str, ...], kind: str) -> Iterator[str]:
    is_here = row.service.is_here
    yield element(
        "rect",
        x=x,
        y=row.top,
        width=_BOX,
        height=row.height,
        rx=6,
        fill=_HERE_FILL if is_here else _FILL,
        stroke=_EVENTS if is_here else _LINES,
        class_=f"{kind} here" if is_here else kind,
    )
    room, left = _BOX - 24, x + 12
    yield text(name, room=room, x=left, y=row.head_y, fill=_INK, font_weight="bold")
    for index, line in enumerate(lines):
        yield text(line, room=room, size=12, x=left, y=row.line_y(index) + 4, fill=_PALE)


def _topics(topics: dict[str, float], found: ServiceMap) -> Iterator[str]:
    ownerless = _ownerless(found)
    for domain, y in topics.items():
        is_lost = domain in ownerless
        more = {"stroke_dasharray": "4 3"} if is_lost else {}
        yield element(
            "rect",
            x=_TOPICS_X,
            y=y - 10,
            width=_TOPIC,
            height=20,
            rx=10,
            fill=_TOPIC_FILL,
            stroke=_WARN if is_lost else _EVENTS,
            class_="topic ownerless" if is_lost else "topic",
            **more,
        )
        name = f"{domain}: no service owns it" if is_lost else domain
        color = _WARN if is_lost else _INK
        yield text(name, room=_TOPIC - 24, size=12, x=_TOPICS_X + 12, y=y + 4, fill=color)


def _event_arrows(rows: list[_Row], topics: dict[str, float], found: ServiceMap) -> Iterator[str]:
    """From each service to its topics, and from these to the queues of who listens."""
    lost = _ownerless(found)
    for row in rows:
        is_here = row.service.is_here
        for index, domain in enumerate(row.service.owns):
            if topics.get(domain) == row.line_y(index):
                y = topics[domain]
                yield _arrow(_SERVICES_X + _BOX, y, _TOPICS_X, y, "events", is_strong=is_here)
        heard = [domain for domain in row.service.listens_to if domain in topics]
        for index, domain in enumerate(heard):
            # Below the head of the queue, where commands come in.
            y = row.top + _HEAD + (row.height - _HEAD) * (index + 1) / (len(heard) + 1)
            is_strong = is_here or domain in found.services[0].owns or domain in lost
            start = _TOPICS_X + _TOPIC
            yield _arrow(start, topics[domain], _QUEUES_X, y, "events", is_strong=is_strong)


def _command_arrows(rows: list[_Row], found: ServiceMap) -> Iterator[str]:
    """From this service to the queues of those whose commands it knows: one trunk beside the queues, since
    twenty lines across the picture would hide the rest."""
    start, end = rows[0].head_y, _QUEUES_X - 28
    branches = [row.head_y for row in rows[1:] if _count_sent(found, row.service.name)]
    for y in branches:
        yield _line(f"M{end} {y:g} H{_QUEUES_X}", "commands", is_strong=True)
    if branches:
        trunk = f"M{_SERVICES_X + _BOX} {start:g} H{end} V{branches[-1]:g}"
        yield _line(trunk, "commands", is_strong=True, has_head=False)


def _arrow(x: float, y: float, to_x: float, to_y: float, kind: str, *, is_strong: bool) -> str:
    bend = (to_x - x) / 2
    curve = f"C{x + bend:g} {y:g} {to_x - bend:g} {to_y:g} {to_x:g} {to_y:g}"
    return _line(f"M{x:g} {y:g} {curve}", kind, is_strong=is_strong)


def _line(path: str, kind: str, *, is_strong: bool, has_head: bool = True) -> str:
    head = {"marker_end": f"url(#topology-{kind})"} if has_head else {}
    return element(
        "path",
        d=path,
        fill="none",
        stroke=_COMMANDS if kind == "commands" else _EVENTS,
        stroke_width=1.6 if is_strong else 1,
        stroke_opacity=0.9 if is_strong else 0.35,
        class_=kind,
        **head,
    )


def _legend(y: float) -> Iterator[str]:
    x: float = _MARGIN
    for kind, words in (
        ("events", "events; strong where this service sends or hears them"),
        ("commands", "commands that this service may send"),
    ):
        yield _arrow(x, y - 4, x + 36, y - 4, kind, is_strong=True)
        yield text(words, room=_WIDTH, size=12, x=x + 44, y=y, fill=_PALE)
        x += 440
