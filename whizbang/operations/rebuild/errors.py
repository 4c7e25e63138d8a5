"""How a rebuild ends early."""

from __future__ import annotations

from whizbang.exceptions import WhizbangError
from whizbang.messages.text import error_text, traceback_text
from whizbang.models import Rebuild

_MOST_MESSAGE = 2_000  # characters of an error's text that are kept


class RebuildFailed(WhizbangError):
    """A rebuild stopped with an error; the old rows are still there. Its cause is what went wrong."""

    def __init__(self, run: Rebuild, error: Exception) -> None:
        self.run, self.error = run, error
        super().__init__(f"Rebuild {run.pk} of {run.projection} failed: {describe(error)}")


class RebuildTakenOver(WhizbangError):
    """Another worker does a rebuild that this one was at; nothing was written here."""


class RebuildCancelled(WhizbangError):
    """Somebody asked for the end of a rebuild that was under way; the old rows are still there."""


def describe(error: Exception) -> str:
    return error_text(error)[:_MOST_MESSAGE]


def story_of(error: Exception) -> str:
    """What went wrong in the first line, for lists, and below where."""
    return f"{describe(error)}\n\n{traceback_text(error)}"
