"""Writes SVG: elements, escaped texts, and texts that are cut where there is no room."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

# What XML 1.0 has no place for, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WIDTH_OF_A_CHARACTER = 0.6  # of the font size; names are mostly lower case


def element(name: str, content: str | Iterable[str] | None = None, **attributes: object) -> str:
    """One element; `content` is markup already. `class_` and `stroke_width` become `class`, `stroke-width`."""
    parts = [name]
    for key, value in attributes.items():
        written = key.rstrip("_").replace("_", "-")
        parts.append(f"{written}={quoteattr(_clean(str(value)))}")
    head = " ".join(parts)
    if content is None:
        return f"<{head}/>"
    inner = content if isinstance(content, str) else "".join(content)
    return f"<{head}>{inner}</{name}>"


def text(content: str, *, room: float, size: float = 13, **attributes: object) -> str:
    """A line of text; where it has no room (in pixels) it is cut and its whole is the tooltip."""
    most = max(int(room / (size * _WIDTH_OF_A_CHARACTER)), 2)
    if len(content) <= most:
        return element("text", plain(content), font_size=size, **attributes)
    cut = plain(content[: most - 1] + "…") + element("title", plain(content))
    return element("text", cut, font_size=size, **attributes)


def arrow_head(id: str, *, color: str) -> str:
    """A marker for the end of a line, among the `defs`."""
    return element(
        "marker",
        element("path", d="M0 0 L8 4 L0 8 z", fill=color),
        id=id,
        viewBox="0 0 8 8",
        refX=8,
        refY=4,
        markerWidth=7,
        markerHeight=7,
        orient="auto",
    )


def plain(content: str) -> str:
    """Text as markup that shows it."""
    return escape(_clean(content))


def _clean(content: str) -> str:
    return _NOT_XML.sub("\ufffd", content)
