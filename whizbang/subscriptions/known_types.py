"""Which types of the log the installed apps do not define any more."""

from __future__ import annotations

from whizbang.messages.types import find_type
from whizbang.models import EventType
from whizbang.store.event_store import EventStore


def unknown_types(store: EventStore) -> list[str]:
    """Names in the catalogue of types that no message class has, as name or alias."""
    names = EventType.objects.using(store.using).order_by("name").values_list("name", flat=True)
    return [name for name in names if find_type(name) is None]
