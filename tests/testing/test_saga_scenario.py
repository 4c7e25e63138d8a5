"""SagaScenario: a saga's test without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.trips.messages import (
    CardCharged,
    ChargeCard,
    ConfirmTrip,
    RefundCard,
    ReleaseSeat,
    ReserveSeat,
    SeatRefused,
    SeatReserved,
    TripConfirmed,
    TripNoted,
    TripRequested,
)
from tests.trips.sagas import TripBooking
from whizbang import Saga, on, on_timeout, starts_on
from whizbang.exceptions import InvalidMessage, WhizbangError
from whizbang.testing import SagaScenario

REQUESTED = TripRequested(trip_id="17", seat="1a", price=10)
RESERVED = SeatReserved(trip_id="17", seat="1a")
CHARGED = CardCharged(trip_id="17", price=10)
RELEASE = ReleaseSeat(trip_id="17", seat="1a")


def trip(*given: Any) -> SagaScenario:
    return SagaScenario(TripBooking, "17").given(*given)


def test_event_starts_it() -> None:
    trip().when(REQUESTED).then(
        ReserveSeat(trip_id="17", seat="1a"),
        state={"trip_id": "17", "price": 10, "notes": []},
        timeouts=["unpaid"],
        compensations=[],
    ).goes_on()


def test_async_method_sends_and_keeps_what_undoes_it() -> None:
    trip(REQUESTED).when(RESERVED).then(
        ChargeCard(trip_id="17", price=10), timeouts=["unpaid"], compensations=[RELEASE]
    )


def test_one_after_the_other_to_the_end() -> None:
    refund = RefundCard(trip_id="17", price=10)
    scenario = trip(REQUESTED, RESERVED)
    scenario.when(CHARGED).then(
        ConfirmTrip(trip_id="17"), timeouts=[], compensations=[refund, RELEASE]
    )
    scenario.when(TripConfirmed(trip_id="17")).then(compensations=[]).ends("completed")
    scenario.when(TripNoted(trip_id="17", text="late")).then(state={"notes": []})


def test_timeout_undoes_what_was_done() -> None:
    trip(REQUESTED, RESERVED).when("unpaid").then(RELEASE, timeouts=[]).ends(
        "failed", "not paid in time"
    )


def test_event_that_starts_nothing_does_nothing() -> None:
    trip().when(RESERVED).then(timeouts=[])


def test_error_leaves_it_as_it_was() -> None:
    scenario = trip(REQUESTED)
    scenario.when(TripNoted(trip_id="17", text="break")).raises(RuntimeError).goes_on()
    scenario.when(TripNoted(trip_id="17", text="a")).then(state={"notes": ["a"]})


class Clock(Saga):
    abstract = True
    trip_id: str
    seen: list[datetime] = []
    by: str | None = None

    @starts_on(TripRequested, by="trip_id")
    def requested(self, event: TripRequested) -> None:
        self.seen.append(self.now)
        self.by = self.user
        self.timeout("tick", at=self.now + timedelta(days=1))
        self.send(ChargeCard(trip_id=self.trip_id, price=event.price))

    @on(TripNoted, by="trip_id")
    def noted(self, event: TripNoted) -> None:
        assert event.text != "break"
        self.send(ChargeCard(trip_id=self.trip_id, price="much"))  # type: ignore[arg-type]

    @on_timeout("tick")
    def tick(self) -> None:
        self.seen.append(self.now)


def test_time_and_user_are_given() -> None:
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    scenario = SagaScenario(Clock, "17")
    scenario.when(REQUESTED, occurred_at=noon, user="ann").then(
        ChargeCard(trip_id="17", price=10), state={"by": "ann", "seen": [noon]}
    )
    scenario.when("tick").then(state={"seen": [noon, noon + timedelta(days=1)]}, timeouts=[])


def test_command_that_could_not_be_stored_is_an_error() -> None:
    scenario = SagaScenario(Clock, "17").given(REQUESTED)
    scenario.when(TripNoted(trip_id="17", text="a")).raises(InvalidMessage)
    scenario.when(TripNoted(trip_id="17", text="break")).raises(AssertionError)


def test_what_is_not_about_this_instance_is_refused() -> None:
    with pytest.raises(WhizbangError, match="'17' does not hear"):
        trip(REQUESTED).when(SeatReserved(trip_id="18", seat="1a"))
    with pytest.raises(WhizbangError, match="does not wait for 'late'; its timeouts: 'unpaid'"):
        trip(REQUESTED).when("late")
    with pytest.raises(WhizbangError, match="its timeouts: none"):
        trip().when("unpaid")
    with pytest.raises(RuntimeError):
        trip(REQUESTED, TripNoted(trip_id="17", text="break"))


@pytest.mark.parametrize(
    ("expectation", "told"),
    [
        (lambda s: s.then(), "Expected sent"),
        (lambda s: s.then(ChargeCard(trip_id="17", price=11)), "Expected sent"),
        (lambda s: s.then(ChargeCard(trip_id="17", price=10), state={"price": 11}), "state"),
        (lambda s: s.then(ChargeCard(trip_id="17", price=10), state={"prize": 10}), "state"),
        (lambda s: s.then(ChargeCard(trip_id="17", price=10), timeouts=[]), "timeouts"),
        (lambda s: s.then(ChargeCard(trip_id="17", price=10), compensations=[]), "compensations"),
        (lambda s: s.ends("completed"), "Expected status completed, found open"),
        (lambda s: s.raises(RuntimeError), "Expected RuntimeError, but it sent"),
        (lambda s: s.when(SeatRefused(trip_id="17", seat="1a")).goes_on(), "found failed"),
        (lambda s: s.when(SeatRefused(trip_id="17", seat="1a")).ends("failed", "x"), "reason"),
        (lambda s: s.when(TripNoted(trip_id="17", text="break")).then(), "RuntimeError"),
        (
            lambda s: s.when(TripNoted(trip_id="17", text="break")).raises(KeyError),
            "Expected KeyError, got RuntimeError",
        ),
        (lambda s: trip().then(), "Call when"),
    ],
)
def test_wrong_expectation_fails(expectation: Any, told: str) -> None:
    scenario = trip(REQUESTED).when(RESERVED)
    with pytest.raises(AssertionError, match=told):
        expectation(scenario)
