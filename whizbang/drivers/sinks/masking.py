"""Keeps credentials out of what is logged, stored or shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

# Up to the last @: a password may have one, which should have been written %40.
_USER_INFO = re.compile(r"//[^/\s'\"]*@")


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without the user part of its URLs, and without these secrets."""
    # Long ones first: one may be part of another.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _USER_INFO.sub("//***@", text)


def secrets_in(value: Any) -> list[str]:
    """Every text in an option that holds credentials, such as ("user", "password")."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in secrets_in(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in secrets_in(item)]
    return []
