"""Timeouts: each fires once, for what waits for it, and none overtakes what was heard before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from tests.processes import wait_until
from tests.sagas.instances import hear, note, record, request, row_of, sent, state_of, timeouts_of
from tests.trips.messages import RefundCard, TripNoted, TripRequested
from tests.trips.sagas import TripBooking
from whizbang import Event, Saga, event_store, on, on_timeout, starts_on
from whizbang.conf import settings
from whizbang.models import ParkedStream, SagaInstance, SagaTimeout
from whizbang.operations.subscriptions import pause, resume
from whizbang.sagas.timeouts import TimeoutPart

Drain = Callable[..., Any]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("isolated_registry")]
DAY = timedelta(days=1)


def begin(saga: type[Saga]) -> type[Saga]:
    """Known from here on: sagas are LIVE."""
    hear()
    return saga


def pairs() -> type[Saga]:
    """Its two timeouts are due together; what the first does to the second the event says."""

    class Pair(Saga):
        trip_id: str
        wish: str = ""
        fired: list[str] = []

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None:
            self.wish = event.seat
            self.timeout("first", after=timedelta(hours=1))
            self.timeout("second", after=timedelta(hours=2))

        @on_timeout("first")
        def first(self) -> None:
            self.fired.append("first")
            if self.wish == "replace":
                self.timeout("second", after=DAY)
            elif self.wish == "cancel":
                self.cancel_timeout("second")
            elif self.wish == "complete":
                self.complete()
            elif self.wish == "raise":
                raise RuntimeError("The first cannot be handled.")

        @on_timeout("second")
        def second(self) -> None:
            self.fired.append("second")

    return begin(Pair)


@pytest.mark.parametrize(
    ("wish", "fired", "left"),
    [
        ("", ["first", "second"], []),
        ("replace", ["first"], ["second"]),
        ("cancel", ["first"], []),
        ("complete", ["first"], []),
        ("raise", ["second"], ["first"]),
    ],
)
def test_first_of_two_that_are_due_decides_about_the_second(
    drain: Drain, wish: str, fired: list[str], left: list[str]
) -> None:
    saga = pairs()
    record(TripRequested(trip_id="1", seat=wish, price=0))
    drain()
    drain(advance=timedelta(hours=3))
    assert state_of(saga)["fired"] == fired
    assert list(timeouts_of(saga)) == left
    drain()
    assert state_of(saga)["fired"] == fired
    if wish == "replace":
        drain(advance=DAY)
        assert state_of(saga)["fired"] == ["first", "second"]


def test_failing_timeout_waits_and_keeps_nobody(drain: Drain) -> None:
    saga = pairs()
    record(TripRequested(trip_id="1", seat="raise", price=0))
    record(TripRequested(trip_id="2", seat="", price=0))
    drain()
    drain(advance=timedelta(hours=3))
    assert state_of(saga, "2")["fired"] == ["first", "second"]
    parked = SagaTimeout.objects.get(saga=saga.name())
    assert (parked.key, parked.name, parked.attempts) == ("1", "first", 1)
    assert parked.parked_at is not None and "cannot be handled" in parked.traceback


def test_timeout_that_sets_itself_again_fires_again_and_again() -> None:
    class Reminder(Saga):
        trip_id: str
        times: int = 0

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None:
            self.timeout("again", after=DAY)

        @on_timeout("again")
        def again(self) -> None:
            self.times += 1
            self.send(RefundCard(trip_id=self.trip_id, price=self.times))
            self.timeout("again", after=DAY)

    begin(Reminder)
    request()
    hear()
    rounds, part = settings.MAX_HOPS + 5, TimeoutPart(event_store())
    for _ in range(rounds):
        SagaTimeout.objects.filter(name="again").update(due_at=Now())
        assert part.run_once() == 1
    assert state_of(Reminder)["times"] == rounds
    assert [c.data["price"] for c in sent(Reminder)] == list(range(1, rounds + 1))
    assert not ParkedStream.objects.exists()


def test_set_replaced_and_cancelled_in_one_batch(drain: Drain) -> None:
    class Changing(Saga):
        trip_id: str

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None:
            self.timeout("a", after=DAY)
            self.timeout("b", after=DAY)

        @on(TripNoted, by="trip_id")
        def noted(self, event: TripNoted) -> None:
            if event.text == "replace":
                self.timeout("a", after=10 * DAY)
            elif event.text == "cancel":
                self.cancel_timeout("a")
            else:
                self.cancel_timeout("a")
                self.timeout("a", after=20 * DAY)

        @on_timeout("a")
        def a(self) -> None: ...

        @on_timeout("b")
        def b(self) -> None: ...

    begin(Changing)
    request()
    note("replace")
    drain()
    assert sorted(timeouts_of(Changing)) == ["a", "b"]
    assert timeouts_of(Changing)["a"] > timeouts_of(Changing)["b"] + 8 * DAY
    for text in ("cancel", "again", "replace", "again"):
        note(text)
    drain()
    assert timeouts_of(Changing)["a"] > timeouts_of(Changing)["b"] + 18 * DAY
    note("again")
    note("cancel")
    drain()
    assert sorted(timeouts_of(Changing)) == ["b"]
    assert row_of(Changing).next_timeout_at == timeouts_of(Changing)["b"]


def test_thousands_fire_in_batches(django_assert_max_num_queries: Any) -> None:
    count = 1200
    events: list[Event] = [TripRequested(trip_id=f"{n}", seat="", price=0) for n in range(count)]
    event_store().append("trips.Told-1", events)
    hear()
    SagaTimeout.objects.update(due_at=Now() - DAY)
    part = TimeoutPart(event_store())
    with django_assert_max_num_queries(50):
        assert part.run_once() == 500
    while part.run_once():
        pass
    assert not SagaTimeout.objects.exists()
    rows = SagaInstance.objects.filter(status="failed", next_timeout_at=None)
    assert rows.count() == SagaInstance.objects.count() == count


def test_timeout_does_not_overtake_what_was_recorded_before_it_was_due(drain: Drain) -> None:
    """Workers were away for days; when they come back, the timeout is due, and the event is not read yet."""
    request()
    drain()
    note("fail")
    recorded = list(event_store().read_stream("trips.Note-1"))[-1].meta.recorded_at
    assert recorded is not None
    due = SagaTimeout.objects.all()
    due.update(due_at=recorded + timedelta(microseconds=1))
    wait_until(lambda: due.filter(due_at__lte=Now()).exists())
    part = TimeoutPart(event_store())
    assert part.run_once() == 0
    assert row_of(TripBooking).status == "open"
    drain()
    assert (row_of(TripBooking).status, row_of(TripBooking).last_step) == ("failed", "noted")


def test_timeout_that_was_due_before_what_is_unheard_fires(drain: Drain) -> None:
    request()
    drain()
    SagaTimeout.objects.update(due_at=Now() - timedelta(hours=1))
    note("fail")
    assert TimeoutPart(event_store()).run_once() == 1
    assert row_of(TripBooking).last_step == "unpaid"


def test_paused_saga_keeps_its_timeouts_waiting(drain: Drain) -> None:
    request()
    drain()
    pause(TripBooking.name())
    drain(advance=2 * DAY)
    assert row_of(TripBooking).status == "open"
    resume(TripBooking.name())
    drain()
    assert row_of(TripBooking).status == "failed"


def test_timeout_without_a_method_waits_for_one(drain: Drain) -> None:
    saga = pairs()
    request()
    drain()
    del saga.timeouts["first"]  # as after a deploy that renames it
    drain(advance=timedelta(hours=3))
    parked = SagaTimeout.objects.get(saga=saga.name())
    assert "no method marked @on_timeout('first') any more" in parked.error


def test_row_of_a_timeout_that_nobody_waits_for_goes(drain: Drain) -> None:
    """Else the worker would look at it at every turn."""
    request()
    drain()
    timeout = SagaTimeout.objects.get()
    timeout.pk, timeout.stream, timeout.key = None, "trips.TripBooking-gone", "gone"
    timeout.save()
    note("fail")
    drain()
    SagaTimeout.objects.create(
        stream="trips.TripBooking-1", saga="trips.TripBooking", key="1", name="x", due_at=Now()
    )
    drain(advance=2 * DAY)
    assert not SagaTimeout.objects.exists()


def test_timeout_fires_where_the_row_is_to_be_made_again(drain: Drain) -> None:
    request()
    drain()
    SagaInstance.objects.all().delete()
    drain(advance=2 * DAY)
    assert row_of(TripBooking).status == "failed"


def test_timeouts_are_made_from_the_stream_too(drain: Drain) -> None:
    request()
    drain()
    SagaInstance.objects.all().delete()
    SagaTimeout.objects.all().delete()
    note("a")
    drain()
    assert list(timeouts_of(TripBooking)) == ["unpaid"]
    drain(advance=2 * DAY)
    assert row_of(TripBooking).status == "failed"
