"""JSON by msgspec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from whizbang.drivers.serializers.base import Serializer
from whizbang.messages.encoding import encode_hook


class JsonSerializer(Serializer):
    """JSON text as UTF-8; Decimals, UUIDs, times and bytes travel as strings."""

    content_type = "application/json"

    def __init__(self) -> None:
        self.encode = msgspec.json.Encoder(enc_hook=encode_hook).encode  # type: ignore[method-assign,assignment]

    def encode(self, value: Any) -> bytes:
        return msgspec.json.encode(value, enc_hook=encode_hook)

    def decoder(self, type: Any) -> Callable[[bytes], Any]:
        return msgspec.json.Decoder(type).decode
