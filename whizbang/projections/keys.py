"""Which rows or documents an event is about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

from whizbang.drivers.sinks.base import MAX_KEY_BYTES
from whizbang.exceptions import WhizbangError
from whizbang.projections.declaration import By


def key_finder(by: By) -> Callable[[Any, Any], Any]:
    if callable(by):
        return by
    field = str(by)
    return lambda event, meta: getattr(event, field)


def text_keys(found: Any, owner: str) -> list[str]:
    """What `by` has given as the keys of documents, each once."""
    if isinstance(found, list | tuple | set | frozenset):
        return list(dict.fromkeys(text_key(item, owner) for item in found))
    return [text_key(found, owner)]


def text_key(key: Any, owner: str) -> str:
    """A key as text. Raises WhizbangError for what is none."""
    if isinstance(key, date):  # and datetime
        key = key.isoformat()
    elif isinstance(key, UUID | int) and not isinstance(key, bool):
        key = str(key)
    if not isinstance(key, str) or not key:
        raise WhizbangError(
            f"{owner} cannot use {key!r} as a document's key: give text, a number, a UUID or a date, and [] "
            "where no document is meant."
        )
    size = len(key.encode("utf-8", "backslashreplace"))
    if size > MAX_KEY_BYTES:
        raise WhizbangError(
            f"{owner} cannot use a key of {size} bytes ({key[:40]!r}…): {MAX_KEY_BYTES} is the most."
        )
    return key
