"""The registry of message types: stable names to classes, one class each."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from whizbang.conf import OWN_DOMAIN
from whizbang.exceptions import UnknownMessageType
from whizbang.messages import base
from whizbang.messages.becoming import Steps, gone, retired

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


def is_readable(name: str) -> bool:
    """Can stored events of this type be read, or are they left out on purpose?"""
    return find_type(name) is not None or name in gone or name in retired


def names_read_as(cls: type[base.Message]) -> Iterator[str]:
    """All stored names whose events may be read as this type: its own, aliases, and what became it."""
    yield cls.__whizbang__.type_name
    yield from cls.__whizbang__.alias_names
    for name, steps in gone.items():
        if _may_become(steps, cls):
            yield name
    for other in all_types():
        info = other.__whizbang__
        if info.becomings and other is not cls and _may_become(info, cls):
            yield from (info.type_name, *info.alias_names)


def _may_become(steps: Steps, cls: type[base.Message]) -> bool:
    return any(cls in becoming.into for becoming in steps.becomings.values())


def hidden_declarations() -> Iterator[tuple[str, type[base.Message]]]:
    """Names that are declared as gone or retired although a class has them."""
    for name in sorted({*gone, *retired}):
        found = find_type(name)
        if found is not None:
            yield name, found


def all_types() -> Iterator[type[base.Message]]:
    """All concrete message classes, values included; a class defined again replaces its elder."""
    newest = {(cls.__module__, cls.__qualname__): cls for cls in base.declared}
    return iter(newest.values())


def public_types() -> Iterator[type[base.Message]]:
    """Those that applications declare: not the events that the library records for itself."""
    return (cls for cls in all_types() if cls.__whizbang__.domain != OWN_DOMAIN)


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
