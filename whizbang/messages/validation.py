"""Checks a message by encoding it as JSON and decoding it typed, so that all modes see the same values.

What JSON hides is refused too, on every database: NUL, lone surrogates, NaN, infinity, naive
datetimes and integers over 64 bit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime, time
from decimal import Decimal
from typing import Any

import msgspec
from django.core.exceptions import ValidationError

from whizbang.conf import settings
from whizbang.exceptions import InvalidMessage
from whizbang.messages.base import Message
from whizbang.messages.encoding import encode_json

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# A long number is found in two passes over the bytes, which take a tenth of a regular expression's time.
_DIGITS_AS_ZERO = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
_LONG_NUMBER = b"0" * 19
_NO_NUMBER = re.compile(rb'"[+-]?(?:s?nan|inf)', re.IGNORECASE)  # how a Decimal may say it
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1


class Validator:
    """Validates messages of one type."""

    __slots__ = ("_clean", "_decode", "_has_decimals", "_info", "_needs_walk", "_walks_original")

    def __init__(self, cls: type[Message]) -> None:
        self._info = cls.__whizbang__
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(cls).decode
        self._clean = hasattr(cls, "clean")
        kinds = set(_kinds_of(cls))
        self._walks_original = bool(kinds & {float, object})  # NaN becomes null without a word
        self._needs_walk = bool(kinds & {datetime, time, object})
        self._has_decimals = bool(kinds & {Decimal, object})

    def validate(self, message: Any) -> tuple[Any, bytes]:
        """The checked copy of a message and its JSON. Raises `InvalidMessage`."""
        data = self._encode(message)
        if self._walks_original:
            self._refuse(_not_finite(message))
        if data.find(b"\\") >= 0 and _NUL.search(data):
            self._refuse(_with_nul(message))
        try:
            checked = self._decode(data)
        except msgspec.MsgspecError as exc:
            raise InvalidMessage(self._info.type_name, str(exc)) from exc
        if self._needs_walk:
            self._refuse(_naive_times(checked))
        if self._has_decimals and _NO_NUMBER.search(data):
            self._refuse(_not_finite(checked))
        if _LONG_NUMBER in data.translate(_DIGITS_AS_ZERO):
            self._refuse(_wide_integers(checked))
        if self._clean:
            self._run_clean(checked)
        return checked, data

    def _encode(self, message: Any) -> bytes:
        try:
            data = encode_json(message)
        except UnicodeEncodeError as exc:
            found = next(_with_surrogate(message), "a text has a lone surrogate")
            raise InvalidMessage(self._info.type_name, found) from exc
        except (TypeError, ValueError, OverflowError, RecursionError) as exc:
            raise InvalidMessage(self._info.type_name, str(exc)) from exc
        if len(data) > settings.get().MAX_PAYLOAD_BYTES:
            raise InvalidMessage(
                self._info.type_name,
                f"its payload has {len(data):,} bytes, MAX_PAYLOAD_BYTES allows "
                f"{settings.MAX_PAYLOAD_BYTES:,}: store large content elsewhere and send a reference",
            )
        return data

    def _refuse(self, problems: Iterator[str]) -> None:
        found = next(problems, None)
        if found is not None:
            raise InvalidMessage(self._info.type_name, found)

    def _run_clean(self, message: Any) -> None:
        try:
            message.clean()
        except ValidationError as exc:
            reason = exc.message_dict if hasattr(exc, "error_dict") else exc.messages
            raise InvalidMessage(self._info.type_name, reason) from exc


_validators: dict[type[Message], Validator] = {}


def validator(cls: type[Message]) -> Validator:
    found = _validators.get(cls)
    if found is None:
        found = _validators[cls] = Validator(cls)
    return found


def _kinds_of(cls: Any) -> Iterator[Any]:
    """Which leaf types a message can hold; `object` for anything at all."""
    seen: set[Any] = set()
    pending: list[Any] = [msgspec.inspect.type_info(cls)]
    while pending:
        node = pending.pop()
        key = getattr(node, "cls", None) or id(node)
        if key in seen:
            continue
        seen.add(key)
        leaf = _LEAVES.get(type(node).__name__)
        if leaf is not None:
            yield leaf
        pending.extend(_children(node))


_LEAVES: dict[str, Any] = {
    "FloatType": float,
    "DecimalType": Decimal,
    "DateTimeType": datetime,
    "TimeType": time,
    "AnyType": object,
    "CustomType": object,
    "RawType": object,
}


def _children(node: Any) -> Iterator[Any]:
    for name in ("item_type", "key_type", "value_type", "type"):
        child = getattr(node, name, None)
        if isinstance(child, msgspec.inspect.Type):
            yield child
    for name in ("item_types", "types"):
        yield from getattr(node, name, ())
    for part in getattr(node, "fields", ()):
        yield part.type


def _leaves(value: Any, path: str = "$") -> Iterator[tuple[str, Any]]:
    """Every scalar in a message with its path, dict keys included."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _leaves(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield f"{path} (a key)", key
            yield from _leaves(item, f"{path}[{key!r}]")
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def _not_finite(message: Any) -> Iterator[str]:
    for path, value in _leaves(message):
        is_number = isinstance(value, float | Decimal)
        if is_number and not (
            value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)
        ):
            yield f"{value} is not a finite number - at `{path}`"


def _with_nul(message: Any) -> Iterator[str]:
    for path, value in _leaves(message):
        if isinstance(value, str) and "\0" in value:
            yield f"text contains the NUL character - at `{path}`"


def _with_surrogate(message: Any) -> Iterator[str]:
    for path, value in _leaves(message):
        if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
            yield f"text contains a lone surrogate - at `{path}`"


def _naive_times(message: Any) -> Iterator[str]:
    for path, value in _leaves(message):
        if isinstance(value, datetime) and value.tzinfo is None:
            yield f"a datetime must have a time zone - at `{path}`"


def _wide_integers(message: Any) -> Iterator[str]:
    for path, value in _leaves(message):
        if isinstance(value, int) and not _MIN_INT <= value <= _MAX_INT:
            yield f"an integer must fit 64 bit - at `{path}`"
