"""Appending to streams without a handler."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from whizbang.domain.context import current_context
from whizbang.domain.unit_of_work import UnitOfWork
from whizbang.messages.envelope import envelope
from whizbang.store.event_store import EventStore, StreamAppend


def append_directly(
    store: EventStore, appends: list[StreamAppend], *, occurred_at: datetime | None, user: Any
) -> list[int]:
    """Append in the caller's transaction, or in one of its own, with inline reactions."""
    context = current_context.get()
    parent = context.metadata if context is not None else None
    unit = UnitOfWork(store.alias)
    for item in appends:
        if item.stream in unit.expected:
            raise ValueError(
                f"Stream {item.stream!r} is named twice in one append: join its events."
            )
        unit.expected[item.stream] = item.expected
        for event in item.events:
            own = envelope(event, occurred_at=occurred_at, user=user, parent=parent)
            unit.add(item.stream, own)
    with transaction.atomic(using=store.using, savepoint=False):
        placed = unit.commit()
    versions = {item.stream: item.place.version for item in placed}
    return [versions.get(i.stream) or store.driver.stream_version(i.stream) for i in appends]
