"""Events without their payloads: what a list, a graph or a search needs of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from whizbang.models import StoredEvent

_CHUNK = 500
_COLUMNS = ("position", "stream", "version", "type", "metadata", "occurred_at", "recorded_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFacts:
    """One event of the log. `service` recorded it; ids are None where its metadata cannot be read."""

    position: int
    stream: str
    version: int
    type: str
    occurred_at: datetime
    recorded_at: datetime
    message_id: UUID | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    user: str = ""
    service: str = ""


def events_at(positions: Collection[int], *, using: str) -> dict[int, EventFacts]:
    """Those of these positions that are there, by position; one statement for some hundred."""
    wanted, found = sorted(positions), {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        rows = StoredEvent.objects.using(using).filter(position__in=chunk)
        for facts in map(facts_of_row, rows.values_list(*_COLUMNS)):
            found[facts.position] = facts
    return found


def events_between(after: int, until: int, *, limit: int, using: str) -> list[EventFacts]:
    """Events with after < position <= until, the oldest first, at most `limit`."""
    rows = StoredEvent.objects.using(using).filter(position__gt=after, position__lte=until)
    return [facts_of_row(row) for row in rows.order_by("position").values_list(*_COLUMNS)[:limit]]


def facts_of_row(row: tuple[Any, ...]) -> EventFacts:
    position, stream, version, type, metadata, occurred_at, recorded_at = row
    said = metadata if isinstance(metadata, dict) else {}
    return EventFacts(
        position=position,
        stream=stream,
        version=version,
        type=type,
        occurred_at=occurred_at,
        recorded_at=recorded_at,
        message_id=id_in(said.get("message_id")),
        correlation_id=id_in(said.get("correlation_id")),
        causation_id=id_in(said.get("causation_id")),
        user=str(said.get("user") or ""),
        service=str(said.get("service") or ""),
    )


def id_in(value: Any) -> UUID | None:
    """An id as it stands in a document, or as somebody typed it; None for what is none."""
    try:
        return value if isinstance(value, UUID) else UUID(value.strip())
    except (ValueError, AttributeError):
        return None
