"""MessagePack by msgspec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from whizbang.drivers.serializers.base import Serializer
from whizbang.messages.encoding import encode_hook


class MsgpackSerializer(Serializer):
    """MessagePack: smaller than JSON, for binary columns and brokers."""

    content_type = "application/msgpack"

    def __init__(self) -> None:
        self.encode = msgspec.msgpack.Encoder(enc_hook=encode_hook).encode  # type: ignore[method-assign,assignment]

    def encode(self, value: Any) -> bytes:
        return msgspec.msgpack.encode(value, enc_hook=encode_hook)

    def decoder(self, type: Any) -> Callable[[bytes], Any]:
        return msgspec.msgpack.Decoder(type).decode
