"""Two documents side by side, line by line."""

from __future__ import annotations

import difflib
import json
from typing import Any


def pretty(payload: Any) -> str:
    """A document as people edit it."""
    return json.dumps(payload, indent=2, ensure_ascii=False)


def difference_of(before: str, after: str) -> list[tuple[str, str]]:
    """The lines with what they are: "+", "-" or " "."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [(line[0], line[2:]) for line in lines if line[0] != "?"]
