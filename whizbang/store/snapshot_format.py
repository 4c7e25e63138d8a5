"""An aggregate's state as bytes, and a fingerprint of the code that the state depends on."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from datetime import datetime, time
from decimal import Decimal
from typing import Any, Union, get_type_hints

import msgspec

from whizbang.domain.aggregate import Aggregate, state_names
from whizbang.store.code_text import (
    code_of,
    schema_of,
    stable_repr,
    text_of_event,
    text_of_gone_events,
)

logger = logging.getLogger(__name__)
_OWN = frozenset(("id", "version", "_pending", "_on_record"))


class StateFormat:
    """How the annotated attributes of one aggregate class are kept: as JSON, which is exact for them."""

    def __init__(self, cls: type[Aggregate]) -> None:
        """Raises TypeError, with the attribute's name, for a state that cannot be kept."""
        self._names = tuple(state_names(cls))
        hints = _hints_of(cls)
        for name in self._names:
            _check_type(cls, name, hints[name])
        fields = [
            (name, Union[hints[name], msgspec.UnsetType], msgspec.UNSET)  # noqa: UP007
            for name in self._names
        ]
        self._struct: Any = msgspec.defstruct(f"{cls.__name__}State", fields)
        self._decode = msgspec.json.Decoder(self._struct).decode
        self.fingerprint = _fingerprint(cls, self._struct)

    def encode(self, aggregate: Aggregate) -> bytes | None:
        """The state as bytes; None where reading them back would give another state."""
        held = {name: value for name, value in aggregate.__dict__.items() if name not in _OWN}
        if not held.keys() <= set(self._names):
            return None  # appliers set what is not annotated
        state = self._struct(**held)
        try:
            data = msgspec.json.encode(state)
            again = self._decode(data)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError):
            return None
        return data if is_same(again, state) else None

    def restore(self, aggregate: Aggregate, data: bytes) -> None:
        """Give a blank aggregate the state. Raises msgspec.DecodeError for what is no such state."""
        state = self._decode(data)
        for name in self._names:
            value = getattr(state, name)
            if value is msgspec.UNSET:
                aggregate.__dict__.pop(name, None)
            else:
                aggregate.__dict__[name] = value


def is_same(one: Any, other: Any) -> bool:
    """As ==, but 1 is not 1.0, 0.10 is not 0.1, and dicts have an order: code might see the difference."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return is_same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(
            is_same(*pair) for pair in zip(one, other, strict=True)
        )
    if isinstance(one, set | frozenset):
        return {(type(item), item) for item in one} == {(type(item), item) for item in other}
    if isinstance(one, msgspec.Struct):
        names = one.__struct_fields__
        return all(is_same(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, datetime | time):
        return bool(one == other and one.utcoffset() == other.utcoffset())
    if isinstance(one, Decimal):
        return bool(one.as_tuple() == other.as_tuple())
    return bool(one == other)


def state_format(cls: type[Aggregate]) -> StateFormat | None:
    """How a class is kept; None where it takes no snapshots, or cannot, which is logged once."""
    if "_state_format" not in cls.__dict__:
        cls._state_format = _make_format(cls)  # type: ignore[attr-defined]
    found: StateFormat | None = cls._state_format  # type: ignore[attr-defined]
    return found


def _make_format(cls: type[Aggregate]) -> StateFormat | None:
    if cls.snapshot_every <= 0:
        return None
    try:
        return StateFormat(cls)
    except TypeError as exc:
        logger.warning("No snapshots aggregate=%s reason=%s", cls.__qualname__, exc)
        return None


def _hints_of(cls: type[Aggregate]) -> dict[str, Any]:
    try:
        return get_type_hints(cls, include_extras=True)
    except NameError as exc:
        raise TypeError(f"{cls.__name__}: {exc}; import it at run time") from exc


def _check_type(cls: type[Aggregate], name: str, hint: Any) -> None:
    try:
        found = msgspec.inspect.type_info(hint)
        msgspec.json.Decoder(hint)
    except (TypeError, NameError, ValueError) as exc:
        raise TypeError(f"{cls.__name__}.{name}: {exc}") from exc
    if isinstance(found, msgspec.inspect.CustomType):
        raise TypeError(f"{cls.__name__}.{name} is a {found.cls.__name__}, which has no JSON form")


def _fingerprint(cls: type[Aggregate], struct: Any) -> str:
    """Another one whenever the same events might make another state."""
    parts = [cls.__module__, cls.__qualname__, str(cls.snapshot_version), schema_of(struct)]
    parts += [f"{name} = {stable_repr(value)}" for name, value in sorted(_defaults_of(cls))]
    for event_type, applier in sorted(cls._appliers.items(), key=_by_type_name):
        parts += [*text_of_event(event_type), *code_of(applier)]
    parts += text_of_gone_events()
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _by_type_name(item: tuple[Any, Any]) -> str:
    return str(item[0].__whizbang__.type_name)


def _defaults_of(cls: type[Aggregate]) -> Iterator[tuple[str, Any]]:
    yield from cls._plain.items()
    yield from cls._copied.items()
