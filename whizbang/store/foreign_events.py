"""Events of other services in this service's log, each under the stream and version that it has at home."""

from __future__ import annotations

from collections.abc import Sequence

from whizbang.drivers.brokers.base import BrokerMessage
from whizbang.drivers.stores.base import NewRow, RowsOfStream, StoredRow
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
    """Append those that are not there yet, in the caller's transaction; gives them as they are stored.

    Versions may have holes: not every event is published. Raises `ConcurrencyError` when another
    receiver was quicker, and where the store keeps no JSON UnknownMessageType and DecodeError.
    """
    names = sorted({message.stream for message in messages})
    versions = store.driver.stream_versions(names)
    stored: list[StoredRow] = []
    while messages:
        now, messages = _split(messages, versions)
        stored += _append(store, now)
        for message in now:
            versions[message.stream] = message.version
    return stored


def _split(
    messages: Sequence[BrokerMessage], versions: dict[str, int]
) -> tuple[list[BrokerMessage], list[BrokerMessage]]:
    """The first run of each stream without a hole, and the rest; what is there already is in neither."""
    now: list[BrokerMessage] = []
    later: list[BrokerMessage] = []
    ends: dict[str, int] = {}
    for message in messages:
        if message.version <= max(versions[message.stream], ends.get(message.stream, 0)):
            continue
        if message.stream not in ends or message.version == ends[message.stream] + 1:
            now.append(message)
            ends[message.stream] = message.version
        else:
            later.append(message)
    return now, later


def _append(store: EventStore, messages: Sequence[BrokerMessage]) -> list[StoredRow]:
    groups: dict[str, list[BrokerMessage]] = {}
    for message in messages:
        groups.setdefault(message.stream, []).append(message)
    batch = [_rows_of(store, stream, group) for stream, group in groups.items()]
    if not batch:
        return []
    places = store.driver.append(batch)
    found = [
        StoredRow.of(item.stream, row, place)
        for item, placed in zip(batch, places, strict=True)
        for row, place in zip(item.rows, placed, strict=True)
    ]
    return sorted(found, key=lambda row: row.position)


def _rows_of(store: EventStore, stream: str, group: Sequence[BrokerMessage]) -> RowsOfStream:
    slice_number = checked_slice_of(stream)
    rows = [_row_of(store, message, slice_number) for message in group]
    # What came before need not be here: the version is taken as the sender gave it.
    return RowsOfStream(stream, group[0].version - 1, rows, is_expected_read=True)


def _row_of(store: EventStore, message: BrokerMessage, slice_number: int) -> NewRow:
    payload, schema = message.payload, message.schema
    if not store.driver.supports_json:
        event_type = type_named(message.type, f"event {message.message_id}")
        event = codec(event_type, JSON).decode(payload, schema, ("event", message.message_id))
        payload, schema = store.serializer.encode(event), event_type.__whizbang__.schema
    return NewRow(
        message.type,
        schema,
        slice_number,
        payload,
        store.serializer.encode(message.metadata),
        message.occurred_at,
    )
