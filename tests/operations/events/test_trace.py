"""What one message has led to: who caused whom, how long it took, and where knowledge ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from xml.etree import ElementTree

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

import whizbang
from tests.admin.clients import EVIL
from tests.shop.messages import OpenOrder, OrderNoted
from tests.trips.messages import TripRequested
from whizbang.models import DeadLetter, InboxMessage, StoredEvent
from whizbang.operations.events.causes import surroundings_of
from whizbang.operations.events.facts import EventFacts
from whizbang.operations.events.finding import EventQuery, find_events
from whizbang.operations.events.trace import TraceNode, trace
from whizbang.operations.events.trace_svg import by_service, draw_trace, duration
from whizbang.operations.history import rewriting

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]


def event_of(type: str) -> EventFacts:
    return find_events(EventQuery(type=type), store=whizbang.event_store()).events[0]


def correlation_of(type: str) -> UUID:
    found = event_of(type).correlation_id
    assert found is not None
    return found


@pytest.fixture
def trip(drain: Drain) -> UUID:
    """A saga from its first event to its end."""
    event = TripRequested(trip_id="1", seat="1a", price=7)
    whizbang.event_store().append("trips.Told-1", [event], user="anna")
    drain()
    return correlation_of("trips.TripRequested")


def kinds(nodes: list[TraceNode]) -> dict[str, str]:
    return {node.type: node.kind for node in nodes}


def test_saga_is_traced_from_event_to_step_to_command_to_event(trip: UUID) -> None:
    found = trace(trip)
    by_id = {node.id: node for node in found.nodes}
    first = next(node for node in found.nodes if node.type == "trips.TripRequested")
    reserve = next(node for node in found.nodes if node.type == "trips.ReserveSeat")
    assert (reserve.kind, reserve.status) == ("command", "handled")
    assert reserve.inbox == InboxMessage.objects.get(message_id=reserve.id).pk
    assert reserve.cause is not None
    step = by_id[reserve.cause]
    assert (step.kind, step.text) == ("step", "requested()")
    assert step.cause == first.id
    effects = [node for node in found.nodes if node.cause == reserve.id]
    assert [node.kind for node in effects] == ["event"]
    assert first.user == "anna"
    assert all(node.seconds is None or node.seconds >= 0 for node in found.nodes)
    assert not found.is_cut


def test_no_node_stands_before_what_caused_it(trip: UUID) -> None:
    seen: set[UUID] = set()
    ids = {node.id for node in trace(trip).nodes}
    for node in trace(trip).nodes:
        assert node.cause is None or node.cause in seen or node.cause not in ids
        seen.add(node.id)


def test_trace_costs_few_statements(trip: UUID) -> None:
    with CaptureQueriesContext(connection) as captured:
        trace(trip)
    assert len(captured) <= 14


def test_command_handled_at_once_is_told_as_not_known(drain: Drain) -> None:
    whizbang.send(OpenOrder(order_id="1"))
    found = trace(correlation_of("shop.OrderOpened"))
    cause, effect = found.nodes
    assert (cause.kind, cause.id, cause.outside) == ("unknown", found.correlation_id, "")
    assert (effect.cause, effect.kind) == (cause.id, "event")


def test_waiting_and_given_up_commands_are_found_by_their_correlation(drain: Drain) -> None:
    receipt = whizbang.publish(OpenOrder(order_id="1"))
    (waiting,) = trace(receipt.id).nodes
    assert (waiting.type, waiting.status, waiting.kind) == ("shop.OpenOrder", "stored", "command")
    drain()
    again = whizbang.publish(OpenOrder(order_id="1"))
    drain()
    (dead,) = trace(again.id).nodes
    letter = DeadLetter.objects.get()
    assert (dead.status, dead.dead_letter) == ("dead", letter.pk)
    assert dead.error and "\n" not in dead.error


def test_cause_in_another_service_is_the_edge_of_what_is_known(drain: Drain) -> None:
    whizbang.send(OpenOrder(order_id="1"))
    with rewriting(reason="as if it came from there"):
        event = StoredEvent.objects.get()
        StoredEvent.objects.update(metadata=event.metadata | {"service": "sales"})
    drain()
    found = trace(correlation_of("shop.OrderOpened"))
    assert [node.outside for node in found.nodes] == ["sales", ""]
    assert "in service sales" in draw_trace(found)


def test_long_correlation_is_cut_and_says_so(drain: Drain) -> None:
    events = [OrderNoted(order_id="1", text=str(n)) for n in range(5)]
    whizbang.event_store().append("shop.Order-1", events)
    with rewriting(reason="all of one correlation"):
        for event in StoredEvent.objects.all():
            metadata = event.metadata | {"correlation_id": str(UUID(int=7))}
            StoredEvent.objects.filter(pk=event.pk).update(metadata=metadata)
    for _ in range(2):
        found = trace(UUID(int=7), most=3)
        assert (len(found.nodes), found.is_cut) == (3, True)
        assert "Only its first 3 events" in draw_trace(found)
        drain()


def test_ids_that_cause_each_other_end_somewhere(drain: Drain) -> None:
    events = [OrderNoted(order_id="1", text=str(n)) for n in range(2)]
    whizbang.event_store().append("shop.Order-1", events)
    one, other = StoredEvent.objects.order_by("position")
    common = {"correlation_id": str(UUID(int=7))}
    with rewriting(reason="a circle"):
        for mine, theirs in ((one, other), (other, one)):
            data = mine.metadata | common | {"causation_id": theirs.metadata["message_id"]}
            StoredEvent.objects.filter(pk=mine.pk).update(metadata=data)
    found = trace(UUID(int=7))
    assert len(found.nodes) == 2
    draw_trace(found)


def test_nothing_is_known_of_an_unknown_correlation() -> None:
    assert trace(uuid4()).nodes == []
    with pytest.raises(CommandError, match="Nothing is known"):
        call_command("whizbang", "trace", str(uuid4()))


def test_picture_is_well_formed_without_styles_and_escapes_text(trip: UUID) -> None:
    with rewriting(reason="evil"):
        StoredEvent.objects.filter(stream="trips.Told-1").update(
            type=EVIL, stream=f"trips.Told-{EVIL}"
        )
    found = trace(trip)
    for drawn in (draw_trace(found), draw_trace(found, lane_of=by_service)):
        ElementTree.fromstring(drawn)
        assert EVIL not in drawn
        assert "style=" not in drawn
        assert drawn.count('marker-end="url(#trace-arrow)"') == sum(
            node.cause is not None for node in found.nodes
        )


def test_picture_of_many_streams_has_few_columns(drain: Drain) -> None:
    store = whizbang.event_store()
    for number in range(12):
        store.append(f"shop.Order-{number}", [OrderNoted(order_id="1", text="a")])
    with rewriting(reason="all of one correlation"):
        for event in StoredEvent.objects.all():
            data = event.metadata | {"correlation_id": str(UUID(int=7))}
            StoredEvent.objects.filter(pk=event.pk).update(metadata=data)
    drawn = draw_trace(trace(UUID(int=7)))
    assert "and 5 others" in drawn


def test_links_of_the_picture_are_those_that_are_given(trip: UUID) -> None:
    drawn = draw_trace(trace(trip), address_of=lambda node: f"/there/?a=1&b={node.kind}")
    assert 'href="/there/?a=1&amp;b=event"' in drawn


def test_cause_and_effects_of_one_event(trip: UUID) -> None:
    store = whizbang.event_store()
    around = surroundings_of(event_of("trips.TripRequested"), store=store)
    assert around.cause is None
    assert kinds(around.effects)["whizbang.SagaStarted"] == "step"
    reserved = surroundings_of(event_of("trips.SeatReserved"), store=store)
    assert reserved.cause is not None
    assert (reserved.cause.type, reserved.cause.kind) == ("trips.ReserveSeat", "command")
    assert kinds(reserved.effects)["whizbang.SagaReacted"] == "step"
    with CaptureQueriesContext(connection) as captured:
        surroundings_of(event_of("trips.SeatReserved"), store=store)
    assert len(captured) <= 18


def test_step_tells_the_commands_it_has_sent(trip: UUID) -> None:
    step = find_events(EventQuery(type="whizbang.SagaReacted"), store=whizbang.event_store())
    around = surroundings_of(step.events[-1], store=whizbang.event_store())
    assert kinds(around.effects) == {"trips.ReserveSeat": "command"}


def test_verb_prints_and_draws(trip: UUID, tmp_path: Path) -> None:
    out, file = StringIO(), tmp_path / "trace.svg"
    call_command("whizbang", "trace", str(trip), stdout=out)
    assert "step whizbang.SagaReacted, requested()" in out.getvalue()
    call_command("whizbang", "trace", str(trip), "--svg", str(file), "--by", "service")
    ElementTree.fromstring(file.read_text())
    out = StringIO()
    call_command("whizbang", "trace", str(trip), "--json", stdout=out)
    assert json.loads(out.getvalue())["correlation_id"] == str(trip)
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("whizbang", "trace", str(trip), "--svg", str(tmp_path / "no" / "file"))


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(microseconds=3200), "3.2 ms"),
        (timedelta(seconds=1.25), "1.25 s"),
        (timedelta(seconds=125), "2 min 5 s"),
        (timedelta(minutes=200), "3 h 20 min"),
        (timedelta(hours=52), "2 d 4 h"),
    ],
)
def test_durations_are_said_as_people_say_them(passed: timedelta, words: str) -> None:
    assert duration(passed.total_seconds()) == words
