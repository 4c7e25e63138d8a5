"""Payloads to messages and back, by type and format, upcasting what is older."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from whizbang.drivers.serializers.base import Serializer
from whizbang.drivers.serializers.json import JsonSerializer
from whizbang.drivers.serializers.msgpack import MsgpackSerializer
from whizbang.exceptions import DecodeError, UnknownMessageType, WhizbangError
from whizbang.messages import base, becoming
from whizbang.messages.types import find_type

JSON = JsonSerializer()
MSGPACK = MsgpackSerializer()


class Codec:
    """Encodes and decodes one message type in one format, upcasting what is older."""

    __slots__ = ("_cls", "_decode", "_info", "_schema", "serializer")

    def __init__(self, cls: type[base.Message], serializer: Serializer) -> None:
        self._cls = cls
        self._info = cls.__whizbang__
        self._schema = self._info.schema
        self._decode = serializer.decoder(cls)
        self.serializer = serializer

    def decode(self, data: bytes, schema: int, where: tuple[object, ...] = ()) -> Any:
        """A payload stored with `schema`, as the class is today; `where` names it in errors.

        Raises `DecodeError`.
        """
        try:
            if schema >= self._schema:
                return self._decode(data)
            plain = self._info.upcast(self.serializer.decode_plain(data), schema)
            return _convert(plain, self._cls)
        except Exception as exc:  # an upcaster is the application's code
            raise _as_decode_error(self._info.type_name, where, exc) from exc


def codec(cls: type[base.Message], serializer: Serializer) -> Codec:
    """The codec of a type in a format; made once, again when an upcaster is added."""
    known = cls.__whizbang__.codecs
    found: Codec | None = known.get(serializer.content_type)
    if found is None:
        found = known[serializer.content_type] = Codec(cls, serializer)
    return found


def plain_type(type_name: str) -> type[base.Message] | None:
    """The class of events that are read as one event of it; None where `read_events` has to say."""
    found = find_type(type_name)
    return None if found is None or found.__whizbang__.becomings else found


def read_events(
    type_name: str, schema: int, payload: bytes, serializer: Serializer, where: tuple[object, ...]
) -> Sequence[Any]:
    """What one stored event is read as today: usually one event, several of a split one, none of a
    retired one.

    Raises `UnknownMessageType` or `DecodeError`, which name the event by `where`.
    """
    found = find_type(type_name)
    steps = becoming.gone.get(type_name) if found is None else found.__whizbang__
    if steps is None:
        if type_name in becoming.retired:
            return ()
        raise UnknownMessageType(type_name, _place(where))
    if found is not None and (not steps.becomings or schema > max(steps.becomings)):
        return (codec(found, serializer).decode(payload, schema, where),)
    try:
        read = steps.upcast(serializer.decode_plain(payload), schema)
        if isinstance(read, dict):
            raise UnknownMessageType(f"{type_name} schema {schema}", _place(where))
        return [_event_of(part) for part in read]
    except WhizbangError:
        raise
    except Exception as exc:
        raise _as_decode_error(type_name, where, exc) from exc


def _event_of(part: becoming.Part) -> Any:
    info, data = part.type.__whizbang__, part.data
    if part.schema is not None:
        data = info.upcast(data, part.schema)  # type: ignore[assignment]
    return _convert(data, part.type)


def _convert(data: Any, cls: type[Any]) -> Any:
    return msgspec.convert(data, cls, str_keys=True, strict=False)


def _as_decode_error(type_name: str, where: tuple[object, ...], exc: Exception) -> DecodeError:
    return DecodeError(type_name, _place(where), f"{type(exc).__name__}: {exc}")


def _place(where: tuple[object, ...]) -> str:
    """An event's stream, version and position where they are known; else what the caller names."""
    match where:
        case (str(stream), int(version), *rest):
            return f"{stream} v{version}" + "".join(f", position {position}" for position in rest)
    return " ".join(map(str, where))
