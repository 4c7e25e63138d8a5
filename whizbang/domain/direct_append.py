"""Appending to streams without a handler."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from django.db import connections, transaction

from whizbang.domain.context import current_context
from whizbang.domain.races import try_again
from whizbang.domain.unit_of_work import UnitOfWork, is_watched
from whizbang.messages.envelope import envelope
from whizbang.store.event_store import EventStore, StreamAppend

_MOST_ATTEMPTS = 50


def append_directly(
    store: EventStore, appends: list[StreamAppend], *, occurred_at: datetime | None, user: Any
) -> list[int]:
    """Append in the caller's transaction, or in one of its own, with inline reactions.

    In one of its own, ANY and STREAM_EXISTS are tried again while other writers come first.
    """
    append = partial(_append_once, store, appends, occurred_at=occurred_at, user=user)
    return try_again(append, using=store.using, attempts=_MOST_ATTEMPTS)


def _append_once(
    store: EventStore, appends: list[StreamAppend], *, occurred_at: datetime | None, user: Any
) -> list[int]:
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
    versions = _commit(unit)
    return [versions.get(i.stream) or store.driver.stream_version(i.stream) for i in appends]


def _commit(unit: UnitOfWork) -> dict[str, int]:
    """Append what the unit holds, with everything inline, in one transaction; gives the streams' versions."""
    from whizbang.messaging.queue import store_messages

    using = unit.store.using
    if connections[using].get_autocommit() and not is_watched(e.event for e in unit.pending):
        # All or nothing already: BEGIN and COMMIT around it would be two more round trips.
        stored = unit.store_pending()
        return {group[-1].stream: places[-1].version for group, places in stored}
    with transaction.atomic(using=using, savepoint=False):
        placed = unit.commit()
        store_messages(unit.messages, using=using)
    return {item.stream: item.place.version for item in placed}
