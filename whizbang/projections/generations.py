"""Names of generations of collections: they say of which store the documents are."""

from __future__ import annotations

from uuid import uuid4

from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.identity import store_identity


def first_generation(store: EventStore) -> str:
    """The same for all who make it at the same time."""
    return f"{_mark(store)}-first"


def new_generation(store: EventStore | None = None) -> str:
    return f"{_mark(store or event_store())}-{uuid4().hex[:12]}"


def is_of(generation: str, store: EventStore) -> bool:
    """Do the positions of its documents count in this store?"""
    return generation.startswith(f"{_mark(store)}-")


def _mark(store: EventStore) -> str:
    return store_identity(store).store_id.hex[:12]
