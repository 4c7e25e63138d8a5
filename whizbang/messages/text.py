"""Text that every database can store."""

from __future__ import annotations

import traceback

_MOST_TRACEBACK = 20_000  # characters that are kept


def storable_text(text: str) -> str:
    """Lone surrogates and NUL, which some databases refuse, as escapes. For errors, not payloads."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def error_text(error: BaseException) -> str:
    """An error's type and message, to be stored."""
    return storable_text(f"{type(error).__name__}: {error}")


def traceback_text(error: BaseException) -> str:
    """An error's traceback, to be stored: its end, where the error is."""
    return storable_text("".join(traceback.format_exception(error)))[-_MOST_TRACEBACK:]
