"""Bounds of numbers, texts and collections in a JSON Schema: which are wider than others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
_SIZES = {"string": "Length", "array": "Items", "object": "Properties"}


def has_wider_bounds(written: Schema, read: Schema) -> bool:
    """May a value that fits into the bounds of `written` lie outside those of `read`? Of one type both.

    Patterns are not understood: two different ones count as wider. Choices of the reader are no bounds.
    """
    return "enum" not in read and any(_wider(written, read))


def _wider(written: Schema, read: Schema) -> Iterator[bool]:
    for keyword, size in _limits(read):
        given = _limit(written, keyword, size)
        allowed = _limit(read, keyword, size)
        if allowed is not None:
            yield given is None or given < allowed
    if "multipleOf" in read:
        yield written.get("multipleOf", 0) == 0 or written["multipleOf"] % read["multipleOf"] != 0
    if "pattern" in read:
        yield written.get("pattern") != read["pattern"]


def _limits(schema: Schema) -> Iterator[tuple[str, str]]:
    """The lower and the upper limit that a schema of this type may have."""
    if schema.get("type") in ("integer", "number"):
        yield "min", ""
        yield "max", ""
    elif size := _SIZES.get(schema.get("type", "")):
        yield "min", size
        yield "max", size


def _limit(schema: Schema, end: str, size: str) -> tuple[float, bool] | None:
    """A limit as something that grows the tighter it is; None where there is none."""
    sign = 1 if end == "min" else -1
    if "enum" in schema:
        values = [len(value) if size else value for value in schema["enum"]]
        return min(sign * value for value in values), False
    if size:
        found = schema.get(f"{end}{size}", 0 if end == "min" else None)
        return None if found is None else (sign * found, False)
    name = f"{end}imum"
    limits = []
    if name in schema:
        limits.append((sign * schema[name], False))
    if (open_limit := schema.get(f"exclusive{name.capitalize()}")) is not None:
        is_whole = schema["type"] == "integer"
        limits.append((sign * open_limit + is_whole, not is_whole))
    return max(limits, default=None)
