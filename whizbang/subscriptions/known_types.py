"""Which types of the log the installed apps do not define any more."""

from __future__ import annotations

from whizbang.messages.types import is_readable
from whizbang.models import EventType
from whizbang.store.event_store import EventStore


def unknown_types(store: EventStore) -> list[str]:
    """Names in the catalogue of types that nothing declares: no class, upcast or retirement."""
    names = EventType.objects.using(store.using).order_by("name").values_list("name", flat=True)
    return [name for name in names if not is_readable(name)]
