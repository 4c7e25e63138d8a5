"""The README's steps: fenced blocks under an HTML comment that says what to do with them.

<!-- readme:shell -->               run the lines with bash; a leading "$ " is dropped
<!-- readme:settings -->            append to the project's settings.py
<!-- readme:file shop/models.py --> write the file
<!-- readme:append shop/models.py --> append to the file
<!-- readme:replace shop/models.py --> put the class in the place of the file's own of its name
<!-- readme:python -->              run in `manage.py shell`
<!-- readme:output -->              what the step before prints contains these lines
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KINDS = ("shell", "settings", "file", "append", "replace", "python", "output")
OF_FILES = ("file", "append", "replace")
MARKER = re.compile(r"<!--\s*readme:(?P<kind>\w+)(?:\s+(?P<argument>\S+))?\s*-->")
STEP = re.compile(
    MARKER.pattern + r"\s*\n+(?P<fence>`{3,})[^\n]*\n(?P<text>.*?)^(?P=fence)\s*$", re.M | re.S
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One marked block; `argument` is the path of a file, else empty. `line` is that of the marker."""

    kind: str
    argument: str
    text: str
    line: int


class ReadmeError(Exception):
    """The README's marked blocks cannot be followed."""


def read_steps(readme: str) -> list[Step]:
    """The marked blocks in the order in which a reader meets them.

    Raises `ReadmeError` for a marker without a block, one of an unknown kind, or a file without a path.
    """
    steps = [_read_step(readme, match) for match in STEP.finditer(readme)]
    lines = {step.line for step in steps}
    for marker in MARKER.finditer(readme):
        if (line := _line_of(readme, marker)) not in lines:
            raise ReadmeError(f"Line {line}: {marker[0]} stands before no fenced block.")
    return steps


def _read_step(readme: str, match: re.Match[str]) -> Step:
    kind, argument, line = match["kind"], match["argument"] or "", _line_of(readme, match)
    if kind not in KINDS:
        raise ReadmeError(
            f"Line {line}: unknown kind {kind!r}, expected one of {', '.join(KINDS)}."
        )
    if (kind in OF_FILES) != bool(argument):
        raise ReadmeError(
            f"Line {line}: a path belongs to readme:file, append and replace, and to nothing else."
        )
    return Step(kind=kind, argument=argument, text=match["text"], line=line)


def _line_of(readme: str, match: re.Match[str]) -> int:
    return readme.count("\n", 0, match.start()) + 1
