"""State: what can be kept, in which form the next message finds it, and that of an older class."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from tests.sagas.instances import events_of, hear, note, request, row_of, state_of
from tests.trips.messages import TripNoted, TripRequested
from whizbang import Saga, Value, event_store, on, starts_on, upcasts
from whizbang.models import ParkedStream, SagaInstance
from whizbang.sagas.messages import SagaReacted
from whizbang.sagas.standing import Standing
from whizbang.sagas.steps import standing_from_stream

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("isolated_registry")]
Method = Callable[[Any, str], None]


class Colour(Enum):
    RED = "red"


class Leg(Value):
    number: int
    name: str = ""


class Everything(Value):
    price: Decimal
    at: datetime
    id: UUID
    colour: Colour
    legs: list[Leg]


EVERYTHING = Everything(
    price=Decimal("1.50"),
    at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    id=UUID(int=7),
    colour=Colour.RED,
    legs=[Leg(number=1)],
)


def told(saga: type[Saga], *texts: str, at_once: bool) -> None:
    """Start instance 1 and let it hear notes, in one batch or each in one of its own."""
    request()
    for text in texts:
        if not at_once:
            hear()
        note(text)
    hear()


def parked_error() -> str:
    return ParkedStream.objects.get(subscription__startswith="tests.").error


def check_row(saga: type[Saga]) -> None:
    """The row holds what the stream adds up to."""
    folded = standing_from_stream(event_store(), saga, "1")
    assert Standing.from_row(saga, row_of(saga)) == folded


@pytest.mark.parametrize("at_once", [True, False], ids=["one batch", "many batches"])
def test_next_message_finds_what_was_stored_whatever_the_batches(at_once: bool) -> None:
    class Loose(Saga):
        trip_id: str
        at: datetime | None = None
        numbers: set[int] = set()
        whole: Everything | None = None
        by_number: dict[int, list[Leg]] = {}
        kinds: list[str] = []

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None:
            self.at = "2026-01-02T00:00:00Z"  # type: ignore[assignment]
            self.numbers = [1, 1]  # type: ignore[assignment]
            self.whole = EVERYTHING
            self._scratch = "gone"

        @on(TripNoted, by="trip_id")
        def noted(self, event: TripNoted) -> None:
            self.kinds = [type(self.at).__name__, type(self.numbers).__name__]
            self.kinds += ["scratch"] * hasattr(self, "_scratch")
            self.numbers = {*self.numbers, 2}
            self.by_number.setdefault(int(event.text), []).append(Leg(number=3))

    hear()
    told(Loose, "5", "6", at_once=at_once)
    assert not ParkedStream.objects.exists()
    state = state_of(Loose)
    assert state["kinds"] == ["datetime", "set"]
    assert sorted(state["by_number"]) == ["5", "6"] and state["whole"]["price"] == "1.50"
    check_row(Loose)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (object(), "cannot be stored"),
        (float("nan"), "does not fit"),
        (float("inf"), "does not fit"),
        (2**70, "64 bit"),
        ("\ud800", "cannot be stored"),
        ("no number", "does not fit"),
        ([1], "does not fit"),
    ],
)
def test_state_that_could_not_be_read_again_parks_the_instance(value: Any, error: str) -> None:
    class Odd(Saga):
        trip_id: str
        ratio: float = 0.0

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None: ...

        @on(TripNoted, by="trip_id")
        def noted(self, event: TripNoted) -> None:
            self.ratio = value if event.text == "odd" else 1.5

    hear()
    told(Odd, "fine", "odd", at_once=True)
    assert error in parked_error()
    assert state_of(Odd) == {"trip_id": "1", "ratio": 1.5}
    assert error in row_of(Odd).error


def test_undeclared_attribute_parks_the_instance() -> None:
    class Careless(Saga):
        trip_id: str

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None:
            self.extra = 1

    hear()
    request()
    hear()
    assert "extra, which it does not declare" in parked_error()
    assert not SagaInstance.objects.filter(saga=Careless.name()).exists()


def test_field_that_nobody_fills_says_so() -> None:
    class Empty(Saga):
        owner: str

        @starts_on(TripRequested, by=lambda event, meta: event.trip_id)
        def requested(self, event: TripRequested) -> None: ...

    hear()
    request()
    hear()
    assert "missing required field `owner`" in parked_error()


def test_equal_values_of_other_types_are_changes() -> None:
    class Typed(Saga):
        trip_id: str
        values: list[Any] = []

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None:
            self.values = [1]

        @on(TripNoted, by="trip_id")
        def noted(self, event: TripNoted) -> None:
            self.values = [True] if event.text == "true" else [1.0]

    hear()
    told(Typed, "true", at_once=False)
    assert state_of(Typed)["values"] == [True] and state_of(Typed)["values"][0] is True
    check_row(Typed)


def older() -> type[Saga]:
    class Order(Saga):
        category = "tests.Order"
        trip_id: str
        price: int = 0

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None:
            self.price = event.price

    return Order


def newer() -> type[Saga]:
    class Order(Saga):
        category = "tests.Order"
        trip_id: str
        amount: Decimal
        texts: list[str] = []

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None:
            self.amount = Decimal(event.price)

        @on(TripNoted, by="trip_id")
        def noted(self, event: TripNoted) -> None:
            self.texts.append(f"{event.text} {self.amount}")

    @upcasts(Order, from_version=1)
    def to_amount(data: dict[str, Any]) -> dict[str, Any]:
        return {"trip_id": data["trip_id"], "amount": f"{data['price']}.00"}

    return Order


@pytest.mark.parametrize("is_cleaned", [False, True], ids=["from the row", "from the stream"])
def test_open_instance_goes_on_with_a_class_of_another_shape(is_cleaned: bool) -> None:
    old = older()
    hear()
    request(price=7)
    hear()
    assert (state_of(old), row_of(old).schema) == ({"trip_id": "1", "price": 7}, 1)
    new = newer()
    if is_cleaned:
        SagaInstance.objects.all().delete()
    note("a")
    note("b")
    hear()
    assert not ParkedStream.objects.exists()
    assert row_of(new).schema == 2
    assert state_of(new) == {"trip_id": "1", "amount": "7.00", "texts": ["a 7.00", "b 7.00"]}
    check_row(new)


def test_state_that_fits_no_more_parks_the_instance() -> None:
    older()
    hear()
    request(price=7)
    hear()

    class Order(Saga):
        category = "tests.Order"
        trip_id: str
        price: list[int] = []

        @on(TripNoted, by="trip_id")
        def noted(self, event: TripNoted) -> None: ...

    note("a")
    hear()
    assert "does not fit" in parked_error() and "@upcasts" in parked_error()


def test_steps_hold_only_what_has_changed() -> None:
    class Two(Saga):
        trip_id: str
        one: int = 0
        other: list[str] = []

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None: ...

        @on(TripNoted, by="trip_id")
        def noted(self, event: TripNoted) -> None:
            self.one += 1

    hear()
    told(Two, "a", at_once=False)
    steps = [event.step for event in events_of(Two) if isinstance(event, SagaReacted)]
    assert [step.changes for step in steps] == [{"trip_id": "1", "one": 0, "other": []}, {"one": 1}]
