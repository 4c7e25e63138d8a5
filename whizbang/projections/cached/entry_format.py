"""The entries of a cached projection as bytes, and a fingerprint of the code that they follow from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from whizbang.exceptions import WhizbangError
from whizbang.store.code_text import (
    code_of,
    schema_of,
    stable_repr,
    text_of_event,
    text_of_gone_events,
)
from whizbang.store.snapshot_format import is_same

if TYPE_CHECKING:
    from whizbang.projections.cached.projection import CachedProjection

_KEY_TYPES: dict[str, Any] = {
    kind.__name__: kind for kind in (str, int, bool, bytes, UUID, Decimal, date, datetime)
}
Items = Sequence[tuple[Any, Any]]


class EntryFormat:
    """How the entries of one class are kept: as MessagePack, typed by its `entry`."""

    def __init__(self, cls: type[CachedProjection]) -> None:
        """Raises TypeError for a type of entries that has no such form."""
        kind: Any = cls.entry
        if not isinstance(kind, type):
            raise TypeError(f"entry is {kind!r}, which is no class")
        if isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.CustomType):
            raise TypeError(f"entry is {kind.__name__}, which msgspec does not know")
        self._name = cls.__qualname__
        self._encode = msgspec.msgpack.Encoder().encode
        row: Any = tuple[str, Any, kind]
        self._decode = msgspec.msgpack.Decoder(list[row]).decode
        self.fingerprint = _fingerprint_of(cls)

    def encode(self, items: Items) -> bytes:
        """Raises WhizbangError where reading the bytes would give other keys or entries."""
        try:
            data = self._encode([(type(key).__name__, key, value) for key, value in items])
            again = self.decode(data)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as exc:
            raise WhizbangError(f"{self._name} cannot be kept: {exc}") from exc
        if not is_same(again, list(items)):
            raise WhizbangError(
                f"{self._name} cannot be kept, since its entries or keys would be read as others: annotate "
                "the fields of its entries, and use str, int, UUID, Decimal or date as keys."
            )
        return data

    def decode(self, data: bytes) -> list[tuple[Any, Any]]:
        """Raises msgspec.MsgspecError or ValueError for what is no such entries."""
        return [(_as_key(kind, key), value) for kind, key, value in self._decode(data)]


def _as_key(kind: str, key: Any) -> Any:
    found = _KEY_TYPES.get(kind)
    if found is None:
        raise ValueError(f"a key is a {kind}; it may be {', '.join(_KEY_TYPES)}")
    return msgspec.convert(key, found)


def _fingerprint_of(cls: type[CachedProjection]) -> str:
    """Another one whenever the same events might make other entries."""
    return hashlib.sha256("\0".join(_text_of(cls)).encode()).hexdigest()


def _text_of(cls: type[CachedProjection]) -> Iterator[str]:
    yield from (cls.__module__, cls.__qualname__, schema_of(cls.entry), stable_repr(cls.entry()))
    for event_type, pairs in sorted(cls.reactions.items(), key=_by_type_name):
        yield from text_of_event(event_type)
        for name, by in pairs:
            yield from code_of(getattr(cls, name))
            yield from code_of(by) if callable(by) else (str(by),)
    yield from text_of_gone_events()


def _by_type_name(item: tuple[Any, Any]) -> str:
    return str(item[0].__whizbang__.type_name)
