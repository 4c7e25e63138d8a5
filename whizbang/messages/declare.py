"""Decorators that say more about a message than its class can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from whizbang.messages.base import Event, Message, MessageInfo
from whizbang.messages.becoming import Becoming, Steps, check_full_name, gone

M = TypeVar("M", bound=type[Message])
U = TypeVar("U", bound=Callable[[dict[str, Any]], Any])


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


def upcasts(
    event: type[Event] | str,
    *,
    from_version: int = 1,
    into: type[Event] | Sequence[type[Event]] | None = None,
) -> Callable[[U], U]:
    """Declare how a payload of schema `from_version` becomes one of `from_version + 1`.

    The current version is the highest `from_version` + 1. With `into` the stored event is read as
    others. `event` may be a saga: its state has versions too. For one class the function returns its payload; for a list of classes it gives any number
    of (class, payload) or (class, payload, schema), also none. `event` may be the stored name of a
    type whose class is gone. Raises ValueError for a second step of the same version.
    """
    if from_version < 1:
        raise ValueError("from_version counts from 1.")
    steps = _steps_of(event)

    def decorate(function: U) -> U:
        known = _known_step(steps, from_version)
        if known is not None and known.__qualname__ != function.__qualname__:
            name = event if isinstance(event, str) else event.__name__
            raise ValueError(
                f"{name} version {from_version} is upcast by {known.__qualname__} already."
            )
        if into is None:
            steps.upcasters[from_version] = function
        else:
            steps.becomings[from_version] = _becoming(function, into)
        if isinstance(steps, MessageInfo):
            steps.codecs.clear()
        return function

    return decorate


def _steps_of(event: type[Event] | str) -> Steps:
    if isinstance(event, str):
        check_full_name(event)
        return gone.setdefault(event, Steps())
    state = event.__dict__.get("__whizbang_steps__") if isinstance(event, type) else None
    if isinstance(state, Steps):  # of a saga, whose state has versions as payloads have
        return state
    info: Steps = _info(event, "upcasts")
    return info


def _known_step(steps: Steps, version: int) -> Callable[..., Any] | None:
    becoming = steps.becomings.get(version)
    return steps.upcasters.get(version) if becoming is None else becoming.function


def _becoming(function: Callable[..., Any], into: type[Event] | Sequence[type[Event]]) -> Becoming:
    types = (into,) if isinstance(into, type) else tuple(into)
    for cls in types:
        if not (isinstance(cls, type) and issubclass(cls, Event)):
            raise TypeError(f"@upcasts(into=…) takes Event classes, not {cls!r}.")
    return Becoming(function, types, gives_dict=isinstance(into, type))
