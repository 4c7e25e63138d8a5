"""All that one message has led to: events, commands and saga steps, by what caused what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import heapify, heappop, heappush
from uuid import UUID

from whizbang.conf import settings
from whizbang.models import EventEntry
from whizbang.operations.events.facts import EventFacts, events_at, events_between
from whizbang.operations.events.finding import MOST_UNINDEXED, index_position
from whizbang.operations.events.messages import (
    KnownMessage,
    messages_of_correlation,
    messages_with_ids,
    time_of_id,
)
from whizbang.operations.events.steps import SagaStep, SentBy, is_step, steps_among
from whizbang.store.event_store import EventStore, event_store

MOST_NODES = 500
EVENT, STEP, COMMAND, UNKNOWN = "event", "step", "command", "unknown"
_END = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceNode:
    """One message. `kind` is "event", "step" (of a saga), "command", or "unknown": something was caused by it,
    and nothing is left here that tells what it was.

    `cause` is the node that caused it. `seconds` passed since then, as far as both times are known. `outside`
    names the other service that knows what the cause was. `status` is of commands; see KnownMessage.
    """

    id: UUID
    kind: str
    type: str = ""
    text: str = ""  # methods of a saga's step
    service: str = ""
    at: datetime | None = None
    cause: UUID | None = None
    seconds: float | None = None
    outside: str = ""
    stream: str = ""
    version: int = 0
    position: int = 0
    user: str = ""
    status: str = ""
    error: str = ""
    inbox: int | None = None
    outbox: int | None = None
    dead_letter: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One correlation. Nodes stand behind what caused them, else in the order of time.

    `is_cut`: only its first `most` events were read. `unindexed`: the newest events of the log were not looked
    at, since the index lags.
    """

    correlation_id: UUID
    service: str  # this one
    nodes: list[TraceNode]
    is_cut: bool
    unindexed: bool
    most: int


def trace(
    correlation_id: UUID, *, store: EventStore | None = None, most: int = MOST_NODES
) -> Trace:
    """What is known here of one correlation; no nodes when nothing is.

    Commands are known as far as their rows are: handled ones for KEEP_HANDLED_DAYS by their ids, waiting ones
    and dead letters among the newest of each.
    """
    store = store or event_store()
    events, is_cut, unindexed = _events_of(correlation_id, store, most)
    steps = steps_among(events, using=store.using)
    nodes = {node.id: node for node in _commands_of(correlation_id, events, steps, store.using)}
    for event in events:
        node = node_of_event(event, steps.get(event.position))
        nodes[node.id] = node
    for node in list(nodes.values()):
        if node.cause is not None and node.cause not in nodes:
            nodes[node.cause] = node_of_unknown(node)
    return Trace(
        correlation_id=correlation_id,
        service=settings.SERVICE,
        nodes=_in_order(list(_timed(nodes))),
        is_cut=is_cut,
        unindexed=unindexed,
        most=most,
    )


def _events_of(
    correlation_id: UUID, store: EventStore, most: int
) -> tuple[list[EventFacts], bool, bool]:
    entries = EventEntry.objects.using(store.using).filter(correlation_id=correlation_id)
    positions = list(entries.order_by("position").values_list("position", flat=True)[: most + 1])
    known = events_at(positions, using=store.using)
    indexed = index_position(store)
    tail = events_between(indexed, _END, limit=MOST_UNINDEXED + 1, using=store.using)
    known |= {e.position: e for e in tail if e.correlation_id == correlation_id}
    events = [known[at] for at in sorted(known) if known[at].message_id is not None]
    return events[:most], len(events) > most, len(tail) > MOST_UNINDEXED


def _commands_of(
    correlation_id: UUID,
    events: Sequence[EventFacts],
    steps: dict[int, SagaStep],
    using: str,
) -> Iterator[TraceNode]:
    own = {event.message_id for event in events}
    sent = {s.message_id: (s.type, e) for e in events for s in _sent(e, steps)}
    causes = {event.causation_id for event in events if event.causation_id is not None}
    known = messages_of_correlation(correlation_id, using=using)
    known |= messages_with_ids((causes | sent.keys()) - own, using=using)
    for message in known.values():
        type_and_step = sent.get(message.message_id)
        step = None if type_and_step is None else type_and_step[1].message_id
        yield node_of_message(message, step)
    for id, (type, event) in sent.items():
        if id not in known:
            yield TraceNode(id=id, kind=COMMAND, type=type, status="gone", cause=event.message_id)


def _sent(event: EventFacts, steps: dict[int, SagaStep]) -> Sequence[SentBy]:
    step = steps.get(event.position)
    return () if step is None else step.sent


def node_of_event(event: EventFacts, step: SagaStep | None) -> TraceNode:
    assert event.message_id is not None
    return TraceNode(
        id=event.message_id,
        kind=STEP if is_step(event) else EVENT,
        type=event.type,
        text="" if step is None else step.text,
        service=event.service,
        at=event.recorded_at,
        cause=event.causation_id,
        stream=event.stream,
        version=event.version,
        position=event.position,
        user=event.user,
    )


def node_of_message(message: KnownMessage, step: UUID | None) -> TraceNode:
    return TraceNode(
        id=message.message_id,
        kind=COMMAND,
        type=message.type,
        service=message.service,
        at=message.at,
        cause=step or message.cause,
        user=message.user,
        status=message.status,
        error=message.error.strip().partition("\n")[0],
        inbox=message.inbox,
        outbox=message.outbox,
        dead_letter=message.dead_letter,
    )


def node_of_unknown(effect: TraceNode) -> TraceNode:
    """What caused something: handled at once, without a row; or cleaned up; or in another service."""
    assert effect.cause is not None
    outside = effect.service if effect.service not in ("", settings.SERVICE) else ""
    return TraceNode(
        id=effect.cause,
        kind=UNKNOWN,
        service=effect.service,
        at=time_of_id(effect.cause),
        outside=outside,
    )


def _timed(nodes: dict[UUID, TraceNode]) -> Iterator[TraceNode]:
    for node in nodes.values():
        cause = nodes.get(node.cause) if node.cause is not None else None
        if cause is None or cause.at is None or node.at is None:
            yield node
        else:
            # Two clocks may say that an effect was before its cause.
            yield replace(node, seconds=max((node.at - cause.at).total_seconds(), 0.0))


def _in_order(nodes: Sequence[TraceNode]) -> list[TraceNode]:
    """By time, but none before what caused it; ids that cause each other in a circle come last."""
    ids = {node.id for node in nodes}
    effects: dict[UUID | None, list[TraceNode]] = {}
    for node in nodes:
        effects.setdefault(node.cause if node.cause in ids else None, []).append(node)
    ready = [(*_place(node), node.id) for node in effects.get(None, ())]
    by_id, ordered = {node.id: node for node in nodes}, dict[UUID, TraceNode]()
    heapify(ready)
    while ready:
        node = by_id[heappop(ready)[-1]]
        ordered[node.id] = node
        for effect in effects.get(node.id, ()):
            if effect.id not in ordered:
                heappush(ready, (*_place(effect), effect.id))
    return [*ordered.values(), *(node for node in nodes if node.id not in ordered)]


def _place(node: TraceNode) -> tuple[float, int]:
    return (node.at.timestamp() if node.at is not None else 0.0), node.position
