"""Tells how far a long command is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 5.0


class Output(Protocol):
    """A command's stdout: each write is a line."""

    def write(self, msg: str) -> Any: ...


class Progress:
    """Counts out of a known total; use it as a context manager."""

    def __init__(self, out: Output, *, total: int, unit: str = "orders") -> None:
        self._out, self._unit = out, unit
        self._total = total
        self._done = 0
        self._told_at = time.monotonic()
        self._has_bar = sys.stderr.isatty()
        self._bar = tqdm(total=total, unit=f" {unit}", file=sys.stderr, disable=not self._has_bar)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()

    def advance(self, count: int) -> None:
        self._done += count
        self._bar.update(count)
        now = time.monotonic()
        if not self._has_bar and now - self._told_at >= _SECONDS_BETWEEN_LINES:
            self._told_at = now
            self._out.write(f"{self._done:,} of {self._total:,} {self._unit}")

    def say(self, text: str) -> None:
        """Write a line without breaking the bar."""
        if self._has_bar:
            self._bar.write(text, file=sys.stderr)
        else:
            self._out.write(text)
