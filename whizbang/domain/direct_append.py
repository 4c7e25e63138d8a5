"""Appending to streams without a handler."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from whizbang.domain.context import current_context
from whizbang.domain.event_rows import EventRows
from whizbang.domain.races import try_again
from whizbang.domain.tracing import telling_append
from whizbang.domain.unit_of_work import UnitOfWork, is_watched
from whizbang.drivers.stores.base import RowsOfStream
from whizbang.drivers.telemetry import telemetry
from whizbang.messages.envelope import envelope
from whizbang.messages.metadata import Metadata
from whizbang.messaging.nudge import nudge_after_commit
from whizbang.store.event_store import EventStore, StreamAppend

_MOST_ATTEMPTS = 50


def append_directly(
    store: EventStore, appends: Sequence[StreamAppend], occurred_at: datetime | None, user: Any
) -> list[int]:
    """Append in the caller's transaction, or in one of its own, with inline reactions.

    In one of its own, ANY and STREAM_EXISTS are tried again while other writers come first.
    """
    if is_watched({type(event) for item in appends for event in item.events}):
        append = partial(_append_with_reactions, store, appends, occurred_at, user)
        versions = try_again(append, using=store.using, attempts=_MOST_ATTEMPTS)
    else:
        rows = EventRows(store, parent=_cause(), occurred_at=occurred_at, user=user)
        append_rows = _append_told if telemetry.is_enabled() else _append
        versions = append_rows(store, appends, rows)
        nudge_after_commit(store.using)
    if 0 in versions:  # of streams that got no events
        found = zip(appends, versions, strict=True)
        return [version or store.driver.stream_version(item.stream) for item, version in found]
    return versions


def _append_told(store: EventStore, appends: Sequence[StreamAppend], rows: EventRows) -> list[int]:
    count = sum(len(item.events) for item in appends)
    with telling_append(store, (item.stream for item in appends), count=count) as traceparent:
        rows.traceparent = traceparent or rows.traceparent
        return _append(store, appends, rows)


def _append(store: EventStore, appends: Sequence[StreamAppend], rows: EventRows) -> list[int]:
    """One statement is all or nothing already: BEGIN and COMMIT would be two more round trips."""
    return store.driver.append_only(
        [
            RowsOfStream(stream, expected, rows.make_all(stream, events))
            for stream, events, expected in appends
        ]
    )


def _append_with_reactions(
    store: EventStore, appends: Sequence[StreamAppend], occurred_at: datetime | None, user: Any
) -> list[int]:
    """Versions in the order of `appends`, 0 for one without events."""
    from whizbang.messaging.queue import store_messages

    parent = _cause()
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
        store_messages(unit.messages, using=store.using)
    versions = {item.stream: item.place.version for item in placed}
    return [versions.get(item.stream, 0) if item.events else 0 for item in appends]


def _cause() -> Metadata | None:
    context = current_context.get()
    return None if context is None else context.metadata
