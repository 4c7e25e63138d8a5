"""Each instance's steps in the trace of what has begun it, however many are taken at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import trace

import whizbang
from tests.collected import Collected, ids_of, linked_to
from tests.trips.messages import RequestTrip
from tests.trips.sagas import TripBooking
from whizbang import event_store
from whizbang.models import SagaInstance
from whizbang.sagas.steps import standing_from_stream

Drain = Callable[..., Any]
pytestmark = pytest.mark.django_db
KEYS = ("1", "2", "3")


@pytest.fixture(autouse=True)
def known_from_here_on(drain: Drain) -> None:
    """Sagas are LIVE: they hear what is recorded after their rows were made."""
    drain()


def request_trip(key: str, *, price: int = 50) -> int:
    """Gives its trace."""
    with trace.get_tracer("web").start_as_current_span("POST /") as span:
        whizbang.send(RequestTrip(trip_id=key, price=price))
    return span.get_span_context().trace_id


def traces_of(key: str) -> set[int]:
    """Of all that the request of one trip has led to, in whichever stream."""
    rows = [recorded.meta for recorded in event_store().read_all(limit=None)]
    (first,) = (meta for meta in rows if (meta.stream, meta.version) == (f"trips.Trip-{key}", 1))
    of_trip = [meta for meta in rows if meta.correlation_id == first.correlation_id]
    assert {meta.stream.partition("-")[0] for meta in of_trip} >= {
        "trips.Seat",
        "trips.TripBooking",
    }
    return {int((meta.traceparent or "").split("-")[1], 16) for meta in of_trip}


def test_all_that_a_saga_causes_is_in_the_trace_of_its_beginning(
    drain: Drain, collected: Collected
) -> None:
    begun = {key: request_trip(key) for key in KEYS}
    drain()
    assert {key: traces_of(key) for key in KEYS} == {key: {begun[key]} for key in KEYS}
    assert not SagaInstance.objects.exclude(status="completed").exists()


def test_step_is_told_event_by_event_and_its_commands_go_on_from_there(
    drain: Drain, collected: Collected
) -> None:
    request_trip("1")
    drain()
    first = next(s for s in collected.spans if s.name == "process trips.TripBooking")
    requested = next(s for s in collected.spans if s.name == "append trips.Trip")
    assert linked_to(first) == {ids_of(requested)}
    assert first.attributes is not None
    assert first.attributes["whizbang.message.type"] == "trips.TripRequested"
    created = next(s for s in collected.spans if s.name.startswith("create"))
    assert linked_to(created) == {ids_of(first)}


def test_timeout_goes_on_in_the_trace_of_the_beginning(drain: Drain, collected: Collected) -> None:
    begun = request_trip("1", price=0)
    drain()
    drain(advance=timedelta(days=2))
    assert SagaInstance.objects.get().status == "failed"
    assert traces_of("1") == {begun}


def test_row_has_the_origin_that_its_stream_has(drain: Drain, collected: Collected) -> None:
    request_trip("1", price=0)
    drain()
    row = SagaInstance.objects.get()
    made = standing_from_stream(event_store(), TripBooking, "1").to_row()
    assert bytes(row.origin) == bytes(made.origin)
