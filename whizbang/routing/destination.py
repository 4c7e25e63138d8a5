"""Where a message goes and in which mode it runs."""

from __future__ import annotations

from whizbang.conf import settings
from whizbang.exceptions import OwnershipError
from whizbang.messages.base import Message


def service_of(message_type: type[Message]) -> str:
    """The service that owns a message's domain. Raises `OwnershipError` when none does."""
    info = message_type.__whizbang__
    found = settings.get().service_of(info.domain)
    if found is None:
        raise OwnershipError(
            f"Nobody owns domain {info.domain!r} of {info.type_name}: add it to WHIZBANG['OWNS'], or "
            "name the service that owns it in WHIZBANG['SERVICES']."
        )
    return found


def stored_mode(message_type: type[Message]) -> str:
    """In which mode a worker handles a stored command of this type: one by one, or many a transaction."""
    mode = mode_of(message_type, default="durable")
    return "batched" if mode == "batched" else "durable"


def mode_of(message_type: type[Message], *, default: str) -> str:
    """What MODES says for a type, else for its domain, else the default."""
    modes = settings.get().MODES
    if not modes:
        return default
    info = message_type.__whizbang__
    for name in (info.type_name, *info.alias_names, info.domain):
        if name in modes:
            return str(modes[name])
    return default
