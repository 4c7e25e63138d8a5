"""Results of commands as they are kept for receipts and repeated messages."""

from __future__ import annotations

import sys
import typing
from functools import lru_cache
from typing import Any

import msgspec

from whizbang.conf import settings
from whizbang.exceptions import UnstorableResult
from whizbang.messages.base import Command, Message, Query
from whizbang.messages.encoding import encode_json

_TOO_LARGE = b"\0"  # stands for a result that was not kept; no JSON starts with it


class NotKept:
    """Stands for a result that was larger than MAX_RESULT_BYTES."""


@lru_cache(maxsize=1024)
def result_type(message_type: type[Message]) -> Any:
    """The R of Command[R] or Query[R]; Any for a bare one, or where R cannot be resolved."""
    for base in getattr(message_type, "__orig_bases__", ()):
        if typing.get_origin(base) in (Command, Query):
            return _resolve(typing.get_args(base)[0], message_type)
    return Any


def _resolve(found: Any, message_type: type[Message]) -> Any:
    if isinstance(found, str):
        found = typing.ForwardRef(found)
    if not isinstance(found, typing.ForwardRef):
        return found
    module = sys.modules.get(message_type.__module__)
    try:
        return eval(found.__forward_arg__, dict(vars(module)) if module else {})
    except NameError:  # a name of type checkers only
        return Any


def keep_result(result: Any, message_type: type[Message]) -> tuple[bytes | None, Any]:
    """A result as it is stored, and as every answer gives it: the first one and the repeated ones.

    Raises `UnstorableResult` when it has no JSON form, or is not what the command promises.
    """
    if result is None:
        return None, None
    try:
        data = encode_json(result)
        answer = msgspec.json.decode(data, type=result_type(message_type), strict=False)
    except (TypeError, ValueError, msgspec.MsgspecError) as exc:
        raise UnstorableResult(type(result).__name__, exc) from exc
    if len(data) > settings.get().MAX_RESULT_BYTES:
        return _TOO_LARGE, answer
    return data, answer


def decode_result(stored: Any, message_type: type[Message]) -> Any:
    """The answer behind a stored result; a `NotKept` for one that was too large."""
    if stored is None:
        return None
    data = bytes(stored)
    if data == _TOO_LARGE:
        return NotKept()
    return msgspec.json.decode(data, type=result_type(message_type), strict=False)
