"""Saga steps among events: which methods were called, and which commands they sent."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple
from uuid import UUID

from whizbang.models import StoredEvent
from whizbang.operations.events.facts import EventFacts, id_in

_PREFIX = "whizbang.Saga"  # of the events that a saga's stream is made of


class SentBy(NamedTuple):
    """A command as the step names it that has sent it."""

    message_id: UUID
    type: str


class SagaStep(NamedTuple):
    """What one event of a saga's stream says."""

    text: str
    sent: list[SentBy]


def is_step(event: EventFacts) -> bool:
    return event.type.startswith(_PREFIX)


def steps_among(events: Collection[EventFacts], *, using: str) -> dict[int, SagaStep]:
    """By position; read as plain documents, so that a saga whose class is gone is told too."""
    positions = [event.position for event in events if is_step(event)]
    rows = StoredEvent.objects.using(using).filter(position__in=positions)
    return {at: _step_in(payload) for at, payload in rows.values_list("position", "payload")}


def _step_in(payload: Any) -> SagaStep:
    document = payload if isinstance(payload, dict) else {}
    step = document.get("step")
    step = step if isinstance(step, dict) else {}
    methods = [f"{name}()" for name in step.get("methods") or () if isinstance(name, str)]
    sent = []
    for item in [*(step.get("commands") or ()), *(document.get("commands") or ())]:
        id = id_in(item.get("message_id")) if isinstance(item, dict) else None
        if id is not None:
            sent.append(SentBy(id, str(item.get("type") or "")))
    said = document.get("reason") or document.get("name") or ""
    return SagaStep(", ".join(methods) or str(said), sent)
