"""Events of other services in this service's log, each under the stream and version that it has at home."""

from __future__ import annotations

from collections.abc import Sequence

from whizbang.drivers.brokers.base import BrokerMessage
from whizbang.drivers.stores.base import ImportTarget, NewRow, StoredRow
from whizbang.messages.types import type_named
from whizbang.store.codec import JSON, codec
from whizbang.store.event_store import EventStore
from whizbang.store.slices import checked_slice_of


def append_late(store: EventStore, message: BrokerMessage) -> list[StoredRow]:
    """Append one that was set aside, behind later ones of its stream; see append_foreign()."""
    after, until = message.version - 1, message.version
    if next(iter(store.driver.read_stream(message.stream, after=after, until=until)), None):
        return []
    return _append(store, [message])


def append_foreign(store: EventStore, messages: Sequence[BrokerMessage]) -> list[StoredRow]:
    """Append those that are not there yet in the order given, in the caller's transaction; gives them as they
    are stored.

    Versions may have holes: not every event is published. Raises `ConcurrencyError` when another
    receiver was quicker, and where the store keeps no JSON UnknownMessageType and DecodeError.
    """
    versions = store.driver.stream_versions(sorted({message.stream for message in messages}))
    fresh: list[BrokerMessage] = []
    for message in messages:
        if message.version > versions[message.stream]:
            versions[message.stream] = message.version
            fresh.append(message)
    return _append(store, fresh)


def _append(store: EventStore, messages: Sequence[BrokerMessage]) -> list[StoredRow]:
    if not messages:
        return []
    targets = [ImportTarget(message.stream, message.version) for message in messages]
    rows = [_row_of(store, message) for message in messages]
    places = store.driver.append_copies(targets, rows)
    return [
        StoredRow.of(message.stream, row, place)
        for message, row, place in zip(messages, rows, places, strict=True)
    ]


def _row_of(store: EventStore, message: BrokerMessage) -> NewRow:
    payload, schema = message.payload, message.schema
    if not store.driver.supports_json:
        event_type = type_named(message.type, f"event {message.message_id}")
        event = codec(event_type, JSON).decode(payload, schema, ("event", message.message_id))
        payload, schema = store.serializer.encode(event), event_type.__whizbang__.schema
    return NewRow(
        message.type,
        schema,
        checked_slice_of(message.stream),
        payload,
        store.serializer.encode(message.metadata),
        message.occurred_at,
    )
