"""Follows the console's links, to one page or two of each kind."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from benchmarks.looking.kinds import START, Kind, kind_of
from tests.browser.visiting import Visitor

MOST_PAGES = 250


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
