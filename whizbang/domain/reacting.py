"""What is inline, for events that came into the log by another way than a unit of work."""

from __future__ import annotations

from collections.abc import Sequence

from whizbang.domain.unit_of_work import PlacedEvent, UnitOfWork
from whizbang.drivers.stores.base import Placed, StoredRow
from whizbang.messages.envelope import Envelope
from whizbang.store.event_store import EventStore


def react_to(store: EventStore, rows: Sequence[StoredRow]) -> None:
    """Run inline subscribers and projections on stored events, in the transaction that has stored them.

    Raises UnknownMessageType or DecodeError.
    """
    from whizbang.messaging.queue import store_messages

    unit = UnitOfWork(store.alias)
    unit.commit(
        [
            PlacedEvent(
                event,
                Envelope(event, _metadata=meta),
                row.stream,
                Placed(row.position, row.version, row.recorded_at),
            )
            for row in rows
            for event, meta in store.decode(row)
        ]
    )
    store_messages(unit.messages, using=store.using)
