"""The contract of a serializer: values to bytes and back, exactly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any


class Serializer(ABC):
    """Turns messages into bytes and back; decoders are typed and check what they read."""

    content_type: str

    @abstractmethod
    def encode(self, value: Any) -> bytes:
        """Bytes of a message or plain value. Raises TypeError or ValueError for what has no form."""

    @abstractmethod
    def decoder(self, type: Any) -> Callable[[bytes], Any]:
        """A function that decodes bytes as `type`; make it once, it costs microseconds.

        It raises msgspec.DecodeError (msgspec.ValidationError where the types do not fit).
        """

    def decode_plain(self, data: bytes) -> Any:
        """Bytes as plain dicts, lists and scalars."""
        return self.decoder(Any)(data)
