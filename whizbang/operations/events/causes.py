"""What caused one event, and what it caused."""

from __future__ import annotations

from dataclasses import dataclass, replace

from whizbang.models import EventEntry
from whizbang.operations.events.facts import EventFacts, events_at, events_between
from whizbang.operations.events.finding import MOST_LOOKED_AT, MOST_UNINDEXED, index_position
from whizbang.operations.events.messages import messages_of_correlation, messages_with_ids
from whizbang.operations.events.steps import steps_among
from whizbang.operations.events.trace import (
    COMMAND,
    TraceNode,
    node_of_event,
    node_of_message,
    node_of_unknown,
)
from whizbang.store.event_store import EventStore

MOST_EFFECTS = 50
_END = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """`cause` is None for an event that nothing caused. `is_cut`: there may be more effects."""

    cause: TraceNode | None
    effects: list[TraceNode]
    is_cut: bool


def surroundings_of(event: EventFacts, *, store: EventStore) -> Surroundings:
    """One step up and one step down; bounded, however much belongs to its correlation."""
    effects, is_cut = _effects_of(event, store)
    return Surroundings(cause=_cause_of(event, store), effects=effects, is_cut=is_cut)


def _cause_of(event: EventFacts, store: EventStore) -> TraceNode | None:
    if event.causation_id is None:
        return None
    entries = EventEntry.objects.using(store.using).filter(message_id=event.causation_id)
    at = entries.values_list("position", flat=True).first()
    found = {} if at is None else events_at([at], using=store.using)
    for cause in found.values():
        step = steps_among([cause], using=store.using).get(cause.position)
        return node_of_event(cause, step)
    known = messages_with_ids([event.causation_id], using=store.using)
    for message in known.values():
        return node_of_message(message, None)
    return node_of_unknown(node_of_event(event, None))


def _effects_of(event: EventFacts, store: EventStore) -> tuple[list[TraceNode], bool]:
    if event.message_id is None or event.correlation_id is None:
        return [], False
    positions, is_cut = _positions_of_effects(event, store)
    found = events_at(positions[:MOST_EFFECTS], using=store.using)
    steps = steps_among([event, *found.values()], using=store.using)
    nodes = {e.message_id: node_of_event(e, steps.get(e.position)) for e in found.values()}
    own = steps.get(event.position)
    sent = {} if own is None else {s.message_id: s.type for s in own.sent}
    waiting = messages_of_correlation(event.correlation_id, using=store.using)
    known = {m.message_id: m for m in waiting.values() if m.cause == event.message_id}
    known |= messages_with_ids(sent, using=store.using)
    for message in known.values():
        nodes[message.message_id] = replace(node_of_message(message, None), cause=event.message_id)
    for id, type in sent.items():
        gone = TraceNode(id=id, kind=COMMAND, type=type, status="gone", cause=event.message_id)
        nodes.setdefault(id, gone)
    return list(nodes.values()), is_cut or len(positions) > MOST_EFFECTS


def _positions_of_effects(event: EventFacts, store: EventStore) -> tuple[list[int], bool]:
    """Effects stand behind their cause, in its correlation."""
    entries = EventEntry.objects.using(store.using).filter(
        correlation_id=event.correlation_id, position__gt=event.position
    )
    rows = list(
        entries.order_by("position").values_list("position", "causation_id")[:MOST_LOOKED_AT]
    )
    positions = [at for at, cause in rows if cause == event.message_id]
    after = max(index_position(store), event.position)
    tail = events_between(after, _END, limit=MOST_UNINDEXED, using=store.using)
    positions += [e.position for e in tail if e.causation_id == event.message_id]
    return sorted(set(positions)), len(rows) == MOST_LOOKED_AT
