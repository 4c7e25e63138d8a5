"""The messages that a saga has heard, as they stand in this service's log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from whizbang.drivers.stores.base import LogFilter, StoredRow
from whizbang.models import EditedEvent
from whizbang.sagas.messages import SagaReacted
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.edits import edited


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What a step reacted to. `service` is where it was recorded, `causation_id` the command behind it.

    `data` is what the saga reads: the copy of an operator where there is one (`is_edited`), and None where
    the event is not in the log any more.
    """

    type: str
    stream: str
    position: int
    message_id: UUID
    version: int = 0
    service: str = ""
    user: str | None = None
    causation_id: UUID | None = None
    occurred_at: datetime | None = None
    is_edited: bool = False
    data: Any = None


def causes_of(
    store: EventStore, subscription: str, heard: Iterable[SagaReacted]
) -> dict[int, Cause]:
    """By position. Asks the log once, for all of them."""
    by_position = {item.position: item for item in heard}
    edits = EditedEvent.objects.using(store.using).filter(
        subscription=subscription, position__in=by_position
    )
    copies = {edit.position: edit for edit in edits}
    rows = _rows_at(store, sorted(by_position))
    return {
        position: _cause_of(store, item, rows.get(position), copies.get(position))
        for position, item in by_position.items()
    }


def _rows_at(store: EventStore, positions: Sequence[int]) -> dict[int, StoredRow]:
    if not positions:
        return {}
    rows = store.driver.read_log(
        after=positions[0] - 1,
        until=positions[-1],
        limit=len(positions),
        filter=LogFilter(positions=positions),
    )
    return {row.position: row for row in rows}


def _cause_of(
    store: EventStore, heard: SagaReacted, row: StoredRow | None, copy: EditedEvent | None
) -> Cause:
    at = heard.position
    if row is None:
        return Cause(type=heard.type, stream=heard.stream, position=at, message_id=heard.message_id)
    meta = store.decode_metadata(row)
    read = row if copy is None else edited(row, copy)
    return Cause(
        type=row.type,
        stream=row.stream,
        position=at,
        message_id=meta.message_id,
        version=row.version,
        service=meta.service,
        user=meta.user,
        causation_id=meta.causation_id,
        occurred_at=row.occurred_at,
        is_edited=copy is not None,
        data=store.serializer.decode_plain(read.payload),
    )
