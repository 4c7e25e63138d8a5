"""Decorators that say more about a message than its class can."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from whizbang.messages.base import Event, Message, Upcaster

M = TypeVar("M", bound=type[Message])
U = TypeVar("U", bound=Callable[[dict[str, Any]], dict[str, Any]])


def _info(cls: Any, decorator: str) -> Any:
    if not (isinstance(cls, type) and issubclass(cls, Message)):
        raise TypeError(f"@{decorator} goes on a Command, Event or Query class, not on {cls!r}.")
    return cls.__whizbang__


def owned_by(domain: str) -> Callable[[M], M]:
    """Name the domain that owns the message, where it is not the app that defines it."""
    if not domain or "." in domain:
        raise ValueError(
            f"@owned_by needs a domain without dots, such as 'orders', not {domain!r}."
        )

    def decorate(cls: M) -> M:
        _info(cls, "owned_by").explicit_domain = domain
        return cls

    return decorate


def named(name: str, *, aliases: Iterable[str] = ()) -> Callable[[M], M]:
    """Fix the stored type name of a message, and the old names that mean the same type.

    A name without a dot is completed with the domain.
    """

    def decorate(cls: M) -> M:
        info = _info(cls, "named")
        info.explicit_name = name
        info.aliases = (aliases,) if isinstance(aliases, str) else tuple(aliases)
        return cls

    return decorate


def requires(*permissions: str) -> Callable[[M], M]:
    """Let only users with these Django permissions ("app.codename") send the message."""
    for permission in permissions:
        if "." not in permission:
            raise ValueError(f"@requires needs 'app_label.codename', not {permission!r}.")

    def decorate(cls: M) -> M:
        info = _info(cls, "requires")
        info.requires = (*info.requires, *permissions)
        return cls

    return decorate


def upcasts(event: type[Event], *, from_version: int) -> Callable[[U], U]:
    """Declare how a payload of schema `from_version` becomes one of `from_version + 1`.

    The current version is the highest `from_version` + 1. Raises ValueError for a second
    upcaster of the same version.
    """
    info = _info(event, "upcasts")
    if from_version < 1:
        raise ValueError("from_version counts from 1.")

    def decorate(function: U) -> U:
        known: Upcaster | None = info.upcasters.get(from_version)
        if known is not None and known.__qualname__ != function.__qualname__:
            raise ValueError(
                f"{event.__name__} version {from_version} is upcast by {known.__qualname__} already."
            )
        info.upcasters[from_version] = function
        info.codecs.clear()
        return function

    return decorate
