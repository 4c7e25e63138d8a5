"""Payloads to messages and back, by type and format, upcasting what is older."""

from __future__ import annotations

from typing import Any

import msgspec

from whizbang.drivers.serializers.base import Serializer
from whizbang.drivers.serializers.json import JsonSerializer
from whizbang.drivers.serializers.msgpack import MsgpackSerializer
from whizbang.exceptions import DecodeError
from whizbang.messages import base

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
            return msgspec.convert(plain, self._cls, str_keys=True, strict=False)
        except (msgspec.MsgspecError, ValueError, TypeError, KeyError) as exc:
            place = " ".join(map(str, where))
            raise DecodeError(self._info.type_name, place, f"{type(exc).__name__}: {exc}") from exc


def codec(cls: type[base.Message], serializer: Serializer) -> Codec:
    """The codec of a type in a format; made once, again when an upcaster is added."""
    known = cls.__whizbang__.codecs
    found: Codec | None = known.get(serializer.content_type)
    if found is None:
        found = known[serializer.content_type] = Codec(cls, serializer)
    return found
