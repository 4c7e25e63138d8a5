"""An instance from its first event to its end, with what it sends on the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

import whizbang
from tests.trips.messages import RequestTrip, SeatReleased, TripConfirmed, TripNoted, TripRequested
from whizbang import event_store
from whizbang.models import InboxMessage, ParkedStream, SagaInstance, SagaTimeout

Drain = Callable[..., Any]
pytestmark = pytest.mark.django_db


def instance(key: str = "1") -> SagaInstance:
    return SagaInstance.objects.get(stream=f"trips.TripBooking-{key}")


def types_of(stream: str) -> list[str]:
    return [r.meta.type.partition(".")[2] for r in event_store().read_stream(stream)]


def decoded(column: Any) -> Any:
    return msgspec.json.decode(bytes(column))


def note(text: str, key: str = "1") -> None:
    event_store().append(
        f"trips.Note-{key}", [TripNoted(trip_id=key, text=text)], expected=whizbang.ANY
    )


@pytest.fixture(autouse=True)
def known_from_here_on(drain: Drain) -> None:
    """Sagas are LIVE: they hear what is recorded after their rows were made."""
    drain()


def test_goes_its_way_to_the_end(drain: Drain) -> None:
    whizbang.send(RequestTrip(trip_id="1"))
    drain()
    found = instance()
    assert (found.status, found.error, found.next_timeout_at) == ("completed", "", None)
    assert types_of("trips.Trip-1") == ["TripRequested", "TripConfirmed"]
    assert types_of("trips.TripBooking-1") == [
        "SagaStarted",
        "SagaReacted",
        "SagaReacted",
        "SagaReacted",
        "SagaReacted",
        "SagaCompleted",
    ]
    assert not SagaTimeout.objects.exists()


def test_state_is_kept_between_messages(drain: Drain) -> None:
    whizbang.send(RequestTrip(trip_id="1", price=0))
    drain()
    note("a")
    note("b")
    drain()
    state = decoded(instance().state)
    assert state == {"trip_id": "1", "price": 0, "notes": ["a", "b"]}


def test_failure_undoes_the_steps_last_first(drain: Drain) -> None:
    whizbang.send(RequestTrip(trip_id="1", price=101))
    drain()
    assert instance().status == "failed"
    assert types_of("trips.Seat-1a") == ["SeatReserved", "SeatReleased"]


def test_timeout_fires_when_it_is_due_and_once(drain: Drain) -> None:
    whizbang.send(RequestTrip(trip_id="1", price=0))
    drain()
    drain(advance=timedelta(hours=23))
    assert instance().status == "open"
    drain(advance=timedelta(hours=2))
    assert instance().status == "failed"
    drain(advance=timedelta(days=2))
    released = event_store().read_all(types=[SeatReleased])
    assert len(list(released)) == 1


def test_what_has_ended_hears_nothing_and_does_not_start_again(drain: Drain) -> None:
    whizbang.send(RequestTrip(trip_id="1"))
    drain()
    version = instance().version
    note("late")
    whizbang.send(RequestTrip(trip_id="1"))
    drain()
    assert instance().version == version
    SagaInstance.objects.all().delete()  # as it is cleaned up after a while
    whizbang.send(RequestTrip(trip_id="1"))
    drain()
    assert not SagaInstance.objects.exists()
    assert len(types_of("trips.TripBooking-1")) == version


def test_row_can_be_made_from_the_stream(drain: Drain) -> None:
    whizbang.send(RequestTrip(trip_id="1", price=0))
    drain()
    before = instance()
    SagaInstance.objects.all().delete()
    note("a")
    drain()
    after = instance()
    for name in ("started_at", "next_timeout_at", "key", "status"):
        assert getattr(after, name) == getattr(before, name)
    for name in ("plans", "origin"):
        assert decoded(getattr(after, name)) == decoded(getattr(before, name))
    assert decoded(after.state)["notes"] == ["a"]


def test_ended_instance_was_closed_by_its_last_event(drain: Drain) -> None:
    whizbang.send(RequestTrip(trip_id="1"))
    drain()
    *_, last = event_store().read_stream("trips.TripBooking-1")
    assert instance().closed_at == last.meta.recorded_at


def test_event_without_an_instance_is_ignored(drain: Drain) -> None:
    note("a", "7")
    drain()
    assert not SagaInstance.objects.exists() and not ParkedStream.objects.exists()


def test_failing_step_parks_its_instance_alone(drain: Drain) -> None:
    for key in ("1", "2"):
        whizbang.send(RequestTrip(trip_id=key, price=0))
    drain()
    note("break", "1")
    note("later", "1")
    note("fine", "2")
    drain()
    parked = ParkedStream.objects.get()
    assert (parked.subscription, parked.key) == ("trips.TripBooking", "1")
    assert "cannot stand this note" in instance("1").error
    assert decoded(instance("2").state)["notes"] == ["fine"]
    drain(advance=timedelta(days=2))
    assert (instance("1").status, instance("2").status) == (
        "open",
        "failed",
    )  # its timeout waits too


def test_commands_are_caused_by_the_event_and_belong_to_its_story(drain: Drain) -> None:
    whizbang.send(RequestTrip(trip_id="1", price=0))
    drain()
    requested = next(event_store().read_all(types=[TripRequested])).meta
    step = list(event_store().read_stream("trips.TripBooking-1"))[1]
    (command,) = step.event.step.commands
    assert command.type == "trips.ReserveSeat"
    assert InboxMessage.objects.filter(message_id=command.message_id, status="handled").exists()
    assert step.meta.causation_id == requested.message_id
    assert step.meta.correlation_id == requested.correlation_id
    confirmed = TripConfirmed.__whizbang__.type_name
    assert confirmed not in types_of("trips.Trip-1")
