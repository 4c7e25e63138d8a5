"""Events are recorded by the service that owns their domain."""

from __future__ import annotations

from whizbang.conf import settings
from whizbang.exceptions import OwnershipError
from whizbang.messages.base import Event


def check_owned(event_type: type[Event]) -> None:
    """Raises `OwnershipError` for an event of a domain that belongs to another service."""
    domain = event_type.__whizbang__.domain
    if not settings.get().owns(domain):
        raise OwnershipError(
            f"{event_type.__whizbang__.type_name} belongs to domain {domain!r}, which service "
            f"{settings.SERVICE!r} does not own: record it in the service that does, or add the "
            "domain to WHIZBANG['OWNS']."
        )
