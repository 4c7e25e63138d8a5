"""The registry of message types: stable names to classes, one class each."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from whizbang.exceptions import UnknownMessageType
from whizbang.messages import base

_lock = threading.Lock()
_by_name: dict[str, type[base.Message]] = {}
_counted = 0


def type_named(name: str, where: str = "") -> type[base.Message]:
    """The message class with this stored name or alias. Raises `UnknownMessageType`."""
    found = find_type(name)
    if found is None:
        raise UnknownMessageType(name, where)
    return found


def find_type(name: str) -> type[base.Message] | None:
    """The message class with this stored name or alias; None when there is none."""
    return _names().get(name)


def all_types() -> Iterator[type[base.Message]]:
    """All concrete message classes, values included; a class defined again replaces its elder."""
    newest = {(cls.__module__, cls.__qualname__): cls for cls in base.declared}
    return iter(newest.values())


def name_clashes() -> Iterator[tuple[str, list[type[base.Message]]]]:
    """Type names that several classes claim."""
    claims: dict[str, list[type[base.Message]]] = {}
    for cls in all_types():
        info = cls.__whizbang__
        if info.kind == "value":
            continue
        for name in {info.type_name, *info.alias_names}:
            claims.setdefault(name, []).append(cls)
    return ((name, owners) for name, owners in claims.items() if len(owners) > 1)


def _names() -> dict[str, type[base.Message]]:
    global _counted
    if _counted != len(base.declared):
        with _lock:
            _by_name.clear()
            _counted = len(base.declared)
            for cls in base.declared:
                info = cls.__whizbang__
                if info.kind != "value":
                    for alias in info.alias_names:
                        _by_name.setdefault(alias, cls)
                    _by_name[info.type_name] = cls
    return _by_name


def forget_names() -> None:
    """Read the names again: a decorator or the settings changed them."""
    global _counted
    _counted = 0
