"""JSON of messages, and what to do with values that msgspec does not know."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec
from django.utils.functional import Promise


def encode_hook(value: Any) -> Any:
    """Str subclasses (SafeString), lazy translations and enums of odd values as plain values."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"Values of type {type(value).__name__} cannot be part of a message.")


# Sorted, so that the same message with a set or a dict has the same bytes in every process.
encode_json = msgspec.json.Encoder(enc_hook=encode_hook, order="deterministic").encode
