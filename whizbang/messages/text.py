"""Text that every database can store."""

from __future__ import annotations


def storable_text(text: str) -> str:
    """Lone surrogates and NUL, which some databases refuse, as escapes. For errors, not payloads."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
