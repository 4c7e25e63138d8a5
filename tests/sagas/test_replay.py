"""Today's code over what an instance has heard: the same, or at which step it differs and how."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

import whizbang
from tests.sagas.steering import SAGA, begin, note, saga, wait_for_payment
from tests.trips.messages import (
    ChargeCard,
    ConfirmTrip,
    RefundCard,
    ReleaseSeat,
    ReserveSeat,
    TripRequested,
)
from tests.trips.sagas import TripBooking
from whizbang import WhizbangError, event_store
from whizbang.models import InboxMessage, SagaInstance, StoredEvent
from whizbang.operations.edits import edit_parked
from whizbang.operations.history import rewriting
from whizbang.operations.sagas.replay import Replayed, replay
from whizbang.operations.sagas.turns import part_of, turns_of
from whizbang.testing import drain

Method = Callable[..., Any]
pytestmark = pytest.mark.django_db


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Method], None]:
    """Give a method of the saga another body, as a new version of the code does."""
    return lambda name, method: monkeypatch.setattr(TripBooking, name, method)


def whats(result: Replayed) -> list[tuple[int, list[str]]]:
    return [(step.version, [d.what for d in step.differences]) for step in result.found]


def reserve(self: Any, event: Any) -> None:
    """What the first step does."""
    self.price = event.price
    self.send(ReserveSeat(trip_id=self.trip_id, seat=event.seat))
    self.timeout("unpaid", after=timedelta(days=1))


@pytest.mark.parametrize(
    ("trip", "steps"), [({}, 4), ({"price": 101}, 3), ({"seat": "none"}, 2), ({"price": 0}, 2)]
)
def test_code_that_is_the_same_does_the_same(trip: dict[str, Any], steps: int) -> None:
    begin("1", **trip)
    result = replay(SAGA, "1")
    assert (result.steps, result.is_same, result.found) == (steps, True, [])


def test_timeout_is_replayed_too() -> None:
    wait_for_payment()
    drain(advance=timedelta(days=2))
    assert SagaInstance.objects.get().status == "failed"
    result = replay(SAGA, "1")
    assert (result.steps, result.is_same) == (3, True)


def test_difference_in_state(today: Any) -> None:
    wait_for_payment()
    note("a")
    today("noted", lambda self, event: self.notes.append(event.text.upper()))
    (step,) = replay(SAGA, "1").found
    (found,) = step.differences
    assert (step.version, step.message) == (4, "trips.TripNoted")
    assert (found.what, found.recorded, found.today) == (
        "state",
        {"notes": ["a"]},
        {"notes": ["A"]},
    )


def test_difference_in_commands(today: Any) -> None:
    begin("1")

    def reserved(self: Any, event: Any) -> None:
        self.compensate_with(ReleaseSeat(trip_id=self.trip_id, seat=event.seat))
        self.send(ChargeCard(trip_id=self.trip_id, price=self.price + 1))

    today("reserved", reserved)
    (step,) = replay(SAGA, "1").found
    (found,) = step.differences
    assert (step.version, found.what) == (3, "commands")
    assert [command["data"]["price"] for command in (*found.recorded, *found.today)] == [10, 11]


def test_difference_in_when_a_command_is_sent(today: Any) -> None:
    wait_for_payment()

    def requested(self: Any, event: Any) -> None:
        self.price = event.price
        command = ReserveSeat(trip_id=self.trip_id, seat=event.seat)
        self.send(command, delay=timedelta(hours=1))
        self.timeout("unpaid", after=timedelta(days=1))

    today("requested", requested)
    assert whats(replay(SAGA, "1")) == [(2, ["commands"])]


def test_difference_in_timeouts(today: Any) -> None:
    wait_for_payment()

    def requested(self: Any, event: Any) -> None:
        reserve(self, event)
        self.cancel_timeout("unpaid")

    today("requested", requested)
    assert whats(replay(SAGA, "1")) == [(2, ["timeouts", "cancelled"])]


def test_timeout_at_an_instant_is_compared_and_after_a_while_is_not(today: Any) -> None:
    wait_for_payment()

    def after(self: Any, event: Any) -> None:
        reserve(self, event)
        self.timeout("unpaid", after=timedelta(days=7))

    today("requested", after)
    assert replay(SAGA, "1").is_same

    def at(self: Any, event: Any) -> None:
        reserve(self, event)
        self.timeout("unpaid", at=self.now + timedelta(days=7))

    today("requested", at)
    assert whats(replay(SAGA, "1")) == [(2, ["timeouts"])]


def test_difference_in_what_undoes_a_step_and_how_it_ends(today: Any) -> None:
    begin("1", price=101)

    def declined(self: Any, event: Any) -> None:
        self.compensate_with(RefundCard(trip_id=self.trip_id, price=1))
        self.fail("no money")

    today("declined", declined)
    (step,) = replay(SAGA, "1").found
    assert [found.what for found in step.differences] == ["compensations", "ending", "undone"]
    undone = step.differences[2].today
    assert [command["type"] for command in undone] == ["trips.RefundCard", "trips.ReleaseSeat"]


def test_end_that_is_not_reached_any_more(today: Any) -> None:
    begin("1")
    today("confirmed", lambda self, event: None)
    (step,) = replay(SAGA, "1").found
    (found,) = step.differences
    assert (found.what, found.recorded, found.today) == ("ending", "completed", "")


def test_code_that_raises_now(today: Any) -> None:
    wait_for_payment()
    note("a")

    def noted(self: Any, event: Any) -> None:
        raise RuntimeError("Not today.")

    today("noted", noted)
    (step,) = replay(SAGA, "1").found
    (found,) = step.differences
    assert (found.what, found.today) == ("error", "RuntimeError: Not today.")
    assert "in noted" in found.traceback


def test_message_that_nobody_hears_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    begin("1")
    left = {k: v for k, v in TripBooking.reactions.items() if k is not TripRequested}
    monkeypatch.setattr(TripBooking, "reactions", left)
    (step,) = replay(SAGA, "1").found
    (found,) = step.differences
    assert (found.what, found.recorded, found.today) == ("methods", ["requested"], [])


def test_timeout_without_a_method(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_payment()
    drain(advance=timedelta(days=2))
    monkeypatch.setattr(TripBooking, "timeouts", {"other": "unpaid"})
    assert whats(replay(SAGA, "1"))[0][0] == 2  # which sets it
    last = replay(SAGA, "1", is_keeping_going=True).found[-1]
    assert (last.version, last.message) == (4, "unpaid")
    assert [found.what for found in last.differences] == ["methods"]


def test_message_that_is_not_in_the_log_any_more() -> None:
    begin("1")
    with rewriting(reason="must go"):
        StoredEvent.objects.filter(stream="trips.Seat-1a").delete()
    (step,) = replay(SAGA, "1").found
    (found,) = step.differences
    assert (step.version, found.what) == (3, "message")
    assert found.today == f"The log has no event at position {step.position} any more."


def test_message_that_cannot_be_read_any_more() -> None:
    begin("1")
    with rewriting(reason="a type that is gone"):
        StoredEvent.objects.filter(stream="trips.Seat-1a").update(type="trips.Forgotten")
    (step,) = replay(SAGA, "1").found
    (found,) = step.differences
    assert (step.version, found.what) == (3, "message")
    assert "trips.Forgotten" in found.today


def test_messages_are_read_with_their_edited_copies() -> None:
    wait_for_payment()
    note("break")
    edit_parked(
        SAGA,
        stream="trips.Note-1",
        payload={"trip_id": "1", "text": "mended"},
        reason="A typo.",
    )
    drain()
    assert replay(SAGA, "1").is_same


def test_later_steps_begin_where_the_recorded_ones_did(today: Any) -> None:
    wait_for_payment()
    for text in ("a", "b", "c"):
        note(text)

    def noted(self: Any, event: Any) -> None:
        self.notes.append("x" if event.text == "a" else event.text)

    today("noted", noted)
    result = replay(SAGA, "1", is_keeping_going=True)
    assert (result.steps, result.differing, whats(result)) == (5, 1, [(4, ["state"])])
    assert replay(SAGA, "1").steps == 3  # it ends where it differs


def test_long_story_is_replayed_page_by_page_and_tells_a_part(
    today: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_payment()
    for text in ("a", "b", "c"):
        note(text)
    drain(advance=timedelta(days=2))
    monkeypatch.setattr("whizbang.operations.sagas.turns._PAGE_EVENTS", 1)
    assert replay(SAGA, "1").is_same
    monkeypatch.setattr("whizbang.operations.sagas.replay._MOST_KEPT", 2)
    today("noted", lambda self, event: None)
    result = replay(SAGA, "1", is_keeping_going=True)
    assert (result.steps, result.differing, len(result.found)) == (6, 3, 2)


def test_nothing_is_sent_or_kept(today: Any) -> None:
    wait_for_payment()
    before = (InboxMessage.objects.count(), StoredEvent.objects.count(), event_store().head())
    instance = SagaInstance.objects.values().get()

    def requested(self: Any, event: Any) -> None:
        reserve(self, event)
        whizbang.send(ConfirmTrip(trip_id="sent"))
        whizbang.publish(ConfirmTrip(trip_id="published"))
        whizbang.dispatch(ConfirmTrip(trip_id="dispatched"))
        event_store().append("trips.Trip-9", [TripRequested(trip_id="9", seat="1a", price=1)])
        InboxMessage.objects.all().delete()

    today("requested", requested)
    assert replay(SAGA, "1").is_same
    drain()
    assert before == (
        InboxMessage.objects.count(),
        StoredEvent.objects.count(),
        event_store().head(),
    )
    assert SagaInstance.objects.values().get() == instance


def test_field_with_a_default_that_is_new_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    begin("1")
    monkeypatch.setitem(TripBooking.__annotations__, "vip", bool)
    monkeypatch.setattr(TripBooking, "vip", False, raising=False)
    monkeypatch.delattr(TripBooking, "_state_type")
    assert replay(SAGA, "1").is_same
    monkeypatch.delattr(TripBooking, "_state_type")


def test_state_that_does_not_fit_the_class_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    begin("1")
    monkeypatch.setitem(TripBooking.__annotations__, "notes", dict[str, int])
    monkeypatch.setattr(TripBooking, "notes", {})
    monkeypatch.delattr(TripBooking, "_state_type")
    (step,) = replay(SAGA, "1").found
    monkeypatch.delattr(TripBooking, "_state_type")
    (found,) = step.differences
    assert (step.version, found.what) == (2, "state")
    assert "upcasts" in found.today


def test_events_into_which_a_row_is_split_are_told_apart() -> None:
    wait_for_payment()
    note("a")
    note("b")
    *_, first, second = turns_of(event_store(), f"{SAGA}-1")
    assert (first.part, second.part) == (0, 0)
    of_one_row = msgspec.structs.replace(second.event, position=first.event.position)
    assert part_of(of_one_row, first) == 1


def test_unknown_instance() -> None:
    with pytest.raises(WhizbangError, match="no instance with the key '9'"):
        replay(SAGA, "9")


def test_command_line_tells_where_it_differs_by_its_exit_code(today: Any) -> None:
    wait_for_payment()
    note("a")
    assert "3 steps come out as they did." in saga("replay", SAGA, "1")
    today("noted", lambda self, event: None)
    with pytest.raises(CommandError, match="1 of 3 steps differ, the first at version 4"):
        saga("replay", SAGA, "1")


def test_command_line_tells_differences_as_json(today: Any, capsys: Any) -> None:
    wait_for_payment()
    today("requested", lambda self, event: reserve(self, event) or self.complete())
    with pytest.raises(CommandError):
        call_command("whizbang", "saga", "replay", SAGA, "1", "--json")
    told = json.loads(capsys.readouterr().out)
    (difference,) = told["found"][0]["differences"]
    assert (difference["what"], difference["today"]) == ("ending", "completed")
