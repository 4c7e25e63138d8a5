"""What an edit changes, line by line; in bounded time, however long the document is."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

_CONTEXT = 5  # lines around it
_MOST_COMPARED = 1_000  # comparing costs the square of that, at worst
_MOST_SHOWN = 2_000

Line = tuple[str, str]  # "+", "-" or " ", and the text


def pretty(payload: Any) -> str:
    """A document as people edit it."""
    return json.dumps(payload, indent=2, ensure_ascii=False)


def difference(before: str, after: str) -> list[Line]:
    """The lines with what they are; of what is the same on both sides only the nearest ones."""
    old, new = before.splitlines(), after.splitlines()
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    ahead, behind = old[:start], old[len(old) - end :]
    changed = _compare(old[start : len(old) - end], new[start : len(new) - end])
    found = [
        *_cut(len(ahead) > _CONTEXT),
        *((" ", line) for line in ahead[-_CONTEXT:]),
        *changed[:_MOST_SHOWN],
        *_cut(len(changed) > _MOST_SHOWN),
        *((" ", line) for line in behind[:_CONTEXT]),
        *_cut(len(behind) > _CONTEXT),
    ]
    return found


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    pairs = zip(left, right, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _compare(old: list[str], new: list[str]) -> list[Line]:
    if len(old) + len(new) > _MOST_COMPARED:
        return [*(("-", line) for line in old), *(("+", line) for line in new)]
    return [(line[0], line[2:]) for line in difflib.ndiff(old, new) if line[0] != "?"]


def _cut(is_cut: bool) -> list[Line]:
    return [(" ", "…")] if is_cut else []
