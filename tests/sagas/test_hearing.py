"""How events reach instances: their keys, their order, more than one saga, and steps that fail midway."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from django.db.models import F

import whizbang
from tests.sagas.instances import (
    decoded,
    events_of,
    hear,
    note,
    record,
    request,
    row_of,
    sent,
    state_of,
)
from tests.trips.messages import (
    ConfirmTrip,
    RefundCard,
    ReserveSeat,
    SeatReserved,
    TripNoted,
    TripRequested,
)
from tests.trips.sagas import TripBooking
from whizbang import ANY, Event, Saga, event_store, on, owned_by, starts_on
from whizbang.conf import settings
from whizbang.exceptions import WhizbangError
from whizbang.models import InboxMessage, ParkedStream, Partition, SagaInstance, StoredEvent
from whizbang.operations.backfill import plan_backfill, request_backfill
from whizbang.operations.cleanup import cleanup
from whizbang.operations.dry_run import dry_run
from whizbang.operations.edits import edit_parked
from whizbang.operations.heal import heal_stream
from whizbang.operations.parked import retry_parked, skip_parked
from whizbang.operations.partitions import set_partition_count
from whizbang.operations.rebuild import request_rebuild
from whizbang.operations.scope import Scope
from whizbang.sagas.saga import START

Drain = Callable[..., Any]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("isolated_registry")]


@owned_by("tests")
class Keyed(Event):
    """An event whose key is of any kind."""

    number: int = 0
    id: UUID | None = None
    text: str = ""


class Kind(Enum):
    SMALL = "small"


def keyed(by: Any) -> type[Saga]:
    class ByKey(Saga):
        count: int = 0

        @starts_on(Keyed, by=by)
        def happened(self, event: Keyed) -> None:
            self.count += 1

    hear()
    return ByKey


def keys_of(saga: type[Saga]) -> dict[str, int]:
    rows = SagaInstance.objects.filter(saga=saga.name())
    return {row.key: decoded(row.state)["count"] for row in rows}


AWKWARD = [
    "a",
    "A",
    "ä",
    "a ",
    " a",
    "'",
    '"; DROP TABLE x; --',
    "%s %(a)s {}",
    "a-b",
    "-",
    "ß",
    "ss",
    "日本",
    "🚆",
    "a\nb",
    "\\",
    "e\u0301",
    "é",
    "x" * 200,
]


def test_any_text_is_a_key_of_its_own() -> None:
    saga = keyed("text")
    for _ in range(2):
        for text in AWKWARD:
            record(Keyed(text=text))
        hear()
    assert keys_of(saga) == dict.fromkeys(AWKWARD, 2)
    assert not ParkedStream.objects.exists()


@pytest.mark.parametrize(
    ("by", "event", "keys"),
    [
        ("number", Keyed(number=7), ["7"]),
        ("id", Keyed(id=UUID(int=7)), [str(UUID(int=7))]),
        (lambda event, meta: [event.number, "7", 7, "8"], Keyed(number=7), ["7", "8"]),
        (lambda event, meta: {meta.stream}, Keyed(), ["trips.Told-1"]),
        (lambda event, meta: Kind.SMALL, Keyed(), ["small"]),
        (lambda event, meta: [], Keyed(), []),
    ],
)
def test_keys_are_what_by_gives(by: Any, event: Event, keys: list[str]) -> None:
    saga = keyed(by)
    record(event)
    hear()
    assert keys_of(saga) == dict.fromkeys(keys, 1)
    assert not ParkedStream.objects.exists()


@pytest.mark.parametrize("key", [None, "", "x" * 250, "a\0b", object()])
def test_what_is_no_key_parks_the_stream(key: Any) -> None:
    saga = keyed(lambda event, meta: key)
    record(Keyed())
    hear()
    parked = ParkedStream.objects.get()
    assert (parked.subscription, parked.unit) == (saga.name(), "stream")
    assert saga.name() in parked.error or "cannot tell its partition" in parked.error


def steps(saga: type[Saga], key: str = "1") -> list[str]:
    return [step for text in state_of(saga, key)["heard"] for step in text.split()]


def hearing() -> type[Saga]:
    """Keeps what it hears; "break" breaks it behind a command, unless it is mended."""

    class Hearing(Saga):
        is_mended = False
        heard: list[str] = []

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None:
            self.heard.append("requested")

        @on(TripNoted, by="trip_id")
        def noted(self, event: TripNoted) -> None:
            self.heard.append(event.text)
            self.send(RefundCard(trip_id=self.key, price=len(self.heard)))
            if event.text == "break" and not type(self).is_mended:
                raise RuntimeError("It cannot stand this.")

    hear()
    return Hearing


def test_events_of_one_batch_are_heard_in_order() -> None:
    saga = hearing()
    request()
    for text in "abc":
        note(text)
    hear()
    assert steps(saga) == ["requested", "a", "b", "c"]
    assert [c.data["price"] for c in sent(saga)] == [2, 3, 4]


def test_sagas_that_hear_one_event_know_nothing_of_each_other() -> None:
    saga = hearing()
    request()
    note("break")
    note("a")
    hear()
    assert ParkedStream.objects.filter(subscription=saga.name()).count() == 1
    skipped = skip_parked(TripBooking.name(), key="1", reason="It cannot stand breaks.")
    assert skipped.key == "1"
    hear()
    assert state_of(TripBooking)["notes"] == ["a"]
    assert steps(saga) == ["requested"]


def test_step_that_fails_midway_leaves_nothing_and_doubles_nothing() -> None:
    saga = hearing()
    for key in "12":
        request(key)
    for text in ("a", "break", "b"):
        note(text, "1")
        note(text + "!", "2")
    hear()
    assert steps(saga, "1") == ["requested", "a"]
    assert steps(saga, "2") == ["requested", "a!", "break!", "b!"]
    assert len(sent(saga, "1")) == 1 and len(sent(saga, "2")) == 3
    assert InboxMessage.objects.filter(type="trips.RefundCard").count() == 4
    assert StoredEvent.objects.filter(stream=f"{saga.name()}-1").count() == 3


def test_parked_instance_takes_its_events_up_again_in_order() -> None:
    saga = hearing()
    request()
    for text in ("break", "a", "break", "b"):
        note(text)
    hear()
    assert steps(saga) == ["requested"]
    saga.is_mended = True  # type: ignore[attr-defined]
    assert retry_parked(saga.name(), key="1") == 1
    note("c")
    hear()
    assert steps(saga) == ["requested", "break", "a", "break", "b", "c"]
    assert [c.data["price"] for c in sent(saga)] == [2, 3, 4, 5, 6]
    assert row_of(saga).error == ""


def test_instance_goes_on_without_an_event_that_is_left_out() -> None:
    saga = hearing()
    request()
    note("break")
    hear()
    assert "cannot stand this" in row_of(saga).error
    skip_parked(saga.name(), key="1", reason="a test")
    hear()
    assert not ParkedStream.objects.filter(subscription=saga.name()).exists()
    assert row_of(saga).error == ""


def test_event_that_an_operator_has_edited_is_heard_as_edited() -> None:
    saga = hearing()
    request()
    note("break")
    note("b")
    hear()
    edit_parked(
        saga.name(), stream="trips.Note-1", payload={"trip_id": "1", "text": "a"}, reason="a test"
    )
    hear()
    assert steps(saga) == ["requested", "a", "b"]


def test_events_of_two_starters_in_any_order_make_one_instance() -> None:
    class Both(Saga):
        heard: list[str] = []

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None:
            self.heard.append("requested")

        @starts_on(SeatReserved, by="trip_id")
        def reserved(self, event: SeatReserved) -> None:
            self.heard.append("reserved")
            if "requested" in self.heard:
                self.send(ConfirmTrip(trip_id=self.key))

    hear()
    record(SeatReserved(trip_id="1", seat="1a"))
    request("1")
    request("2")
    record(SeatReserved(trip_id="2", seat="1a"))
    hear()
    assert steps(Both, "1") == ["reserved", "requested"]
    assert steps(Both, "2") == ["requested", "reserved"]
    assert [len(sent(Both, key)) for key in "12"] == [0, 1]


def test_row_that_is_behind_its_stream_is_made_anew() -> None:
    """After a restore, say: the append is refused, and what is tried again starts from the stream."""
    saga = hearing()
    request()
    hear()
    old = row_of(saga)
    note("a")
    hear()
    SagaInstance.objects.filter(pk=old.pk).update(state=old.state, version=old.version)
    note("b")
    hear()
    assert steps(saga) == ["requested", "a", "b"]
    assert not ParkedStream.objects.exists()


def test_row_that_is_behind_its_stream_keeps_no_timeout_from_firing(drain: Drain) -> None:
    for key in "12":
        request(key)
    drain()
    old = row_of(TripBooking)
    note("a")
    hear()
    SagaInstance.objects.filter(pk=old.pk).update(state=old.state, version=old.version)
    for _ in range(2):
        drain(advance=timedelta(days=2))
    assert row_of(TripBooking, "1").status == row_of(TripBooking, "2").status == "failed"
    assert state_of(TripBooking)["notes"] == ["a"]


def test_ended_instance_stays_ended_when_its_row_is_cleaned_up() -> None:
    request()
    note("fail")
    hear()
    SagaInstance.objects.update(closed_at=F("closed_at") - timedelta(days=91))
    assert cleanup()["saga"] == 1
    before = len(events_of(TripBooking))
    request()
    note("a")
    hear()
    assert len(events_of(TripBooking)) == before and not SagaInstance.objects.exists()


def test_going_round_by_events_ends_as_a_loop_and_says_so(drain: Drain) -> None:
    """A saga that has to go round for longer lets a timeout come in between."""

    class Round(Saga):
        unmatched = START
        times: int = 0

        @on(SeatReserved, by=lambda event, meta: "1")
        def again(self, event: SeatReserved) -> None:
            self.times += 1
            self.send(ReserveSeat(trip_id="none", seat="1a"))

    hear()
    record(SeatReserved(trip_id="none", seat="1a"))
    drain()
    assert 0 < state_of(Round)["times"] <= settings.MAX_HOPS
    assert "MAX_HOPS" in ParkedStream.objects.get().error


def test_commands_that_a_method_sends_by_other_means_belong_to_the_step() -> None:
    class Aside(Saga):
        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None:
            whizbang.publish(ConfirmTrip(trip_id=self.key))
            if event.price:
                raise RuntimeError("It fails behind the command.")

    hear()
    request("1", price=0)
    request("2", price=1)
    hear()
    rows = InboxMessage.objects.filter(type="trips.ConfirmTrip")
    assert [decoded(row.payload)["trip_id"] for row in rows] == ["1"]


@pytest.mark.parametrize("count", [1, 2, 8])
def test_instances_are_shared_by_partitions(count: int) -> None:
    saga = hearing()
    set_partition_count(saga.name(), count)
    keys = [str(number) for number in range(20)]
    for key in keys:
        request(key)
        note("a", key)
    hear()
    assert all(steps(saga, key) == ["requested", "a"] for key in keys)
    assert Partition.objects.filter(subscription=saga.name()).count() == count


def test_what_would_make_a_saga_repeat_itself_is_refused() -> None:
    """Scenario 12: what has effects outside stays silent in a replay."""
    saga = hearing()
    request()
    note("a")
    hear()
    everything = Scope(everything=True)
    for force in (False, True):
        with pytest.raises(WhizbangError, match="is a saga"):
            request_backfill(saga.name(), everything, force=force)
    with pytest.raises(WhizbangError, match="is a saga"):
        plan_backfill(saga.name(), everything)
    with pytest.raises(WhizbangError, match="No projection"):
        request_rebuild(saga.name())
    with pytest.raises(WhizbangError, match="No projection"):
        heal_stream(saga.name(), "trips.Note-1")
    with pytest.raises(WhizbangError, match="is a saga"):
        dry_run(saga.name(), everything, allow_outside_effects=True)
    hear()
    assert steps(saga) == ["requested", "a"] and len(sent(saga)) == 1


def test_many_events_of_one_append_are_heard_in_order() -> None:
    saga = hearing()
    events: list[Event] = [TripRequested(trip_id="1", seat="", price=0)]
    events += [TripNoted(trip_id="1", text=str(number)) for number in range(500)]
    event_store().append("trips.Told-1", events, expected=ANY)
    hear()
    assert steps(saga) == ["requested", *map(str, range(500))]
