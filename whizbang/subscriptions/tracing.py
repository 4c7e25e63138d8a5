"""Tells telemetry of the events that subscriptions handle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

import msgspec

from whizbang.drivers.stores.base import StoredRow
from whizbang.drivers.telemetry import names, telemetry
from whizbang.drivers.telemetry.base import Subject
from whizbang.drivers.telemetry.operations import (
    NOTHING,
    Operation,
    OperationType,
    subject_of,
    telling,
)
from whizbang.messages.metadata import Metadata
from whizbang.store.event_store import EventStore, Recorded
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.partitioning import WHOLE, SliceRange


def telling_batch(
    definition: SubscriptionDefinition, rows: Sequence[StoredRow], slices: SliceRange = WHOLE
) -> AbstractContextManager[str | None]:
    """Around handling some events at once, for definitions that want it."""
    if not (rows and definition.is_told_by_batch and telemetry.is_enabled()):
        return NOTHING
    operation = _operation(definition, slices, is_batch=True)
    return telling(operation, _subjects_of(definition.store, rows), count=len(rows))


def telling_event(
    definition: SubscriptionDefinition, recorded: Recorded
) -> AbstractContextManager[str | None]:
    """Around handling one event; gives the traceparent for what it causes."""
    if not telemetry.is_enabled():
        return NOTHING
    operation = _operation(definition, WHOLE, is_batch=False)
    return telling(operation, map(_subject_of, [recorded.meta]), count=1)


def carried_by(meta: Metadata, traceparent: str | None) -> Metadata:
    """What an event causes comes from the span that handles it; without one, from where the event was made."""
    if traceparent is None:
        return meta
    return msgspec.structs.replace(meta, traceparent=traceparent)


def _operation(
    definition: SubscriptionDefinition, slices: SliceRange, *, is_batch: bool
) -> Operation:
    details = {names.SUBSCRIPTION: definition.name}
    if not slices.is_whole:
        details[names.PARTITION] = f"{slices.first}-{slices.end}"
    return Operation(
        name="process",
        type=OperationType.PROCESS,
        destination=definition.name,
        is_batch=is_batch,
        details=details,
    )


def _subjects_of(store: EventStore, rows: Sequence[StoredRow]) -> Iterator[Subject]:
    return (_subject_of(store.decode_metadata(row)) for row in rows)


def _subject_of(meta: Metadata) -> Subject:
    details = {names.MESSAGE_TYPE: meta.type}
    return subject_of(meta.message_id, meta.correlation_id, meta.traceparent, **details)
