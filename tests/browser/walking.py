"""Follows the console's links, to one page or two of each kind."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from django.urls import Resolver404, resolve

from tests.browser.visiting import Visitor

START = "/admin/"
MOST_PAGES = 250
_OURS = ("/admin/whizbang/", "/admin/whizbang_admin/")
_NO_PAGES = ("export", "download")  # of url names: files to save
_CARRIED = {"back", "_changelist_filters"}  # parameters that only say where somebody came from


class Kind(NamedTuple):
    """What makes pages alike: they come from the same view, with the same parameters."""

    view: str
    action: str
    parameters: frozenset[str]


def kind_of(path: str) -> Kind | None:
    """None where it is no page of the console."""
    parts = urlsplit(path)
    if not parts.path.startswith(_OURS) and parts.path != START:
        return None
    try:
        found = resolve(parts.path)
    except Resolver404:
        return None
    view = found.url_name or ""
    if any(word in view for word in _NO_PAGES):
        return None
    action = str(found.kwargs["name"]) if view.endswith("_do") else ""
    parameters = frozenset(name for name, _ in parse_qsl(parts.query)) - _CARRIED
    if view.endswith("_changelist") and len(parameters) > 1:
        return None  # filters on filters
    return Kind(view, action, parameters)


def walk(
    visitor: Visitor, look: Callable[[Visitor, str], None], *, of_a_kind: int = 1
) -> list[str]:
    """Open a page of each kind that links lead to from the index, and look at it; gives their paths."""
    waiting, seen = deque([START]), {START}
    counted: Counter[Kind] = Counter()
    walked: list[str] = []
    while waiting and len(walked) < MOST_PAGES:
        path = waiting.popleft()
        kind = kind_of(path)
        if kind is None or counted[kind] >= of_a_kind:
            continue
        counted[kind] += 1
        visitor.opens(path)
        look(visitor, path)
        walked.append(path)
        for href in visitor.hrefs():
            if href not in seen:
                seen.add(href)
                waiting.append(href)
    return walked
