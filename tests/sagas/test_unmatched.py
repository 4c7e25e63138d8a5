"""What finds no instance: it is ignored, starts one, or becomes a dead letter that can be redriven."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from tests.sagas.instances import events_of, hear, note, record, request, row_of, sent, state_of
from tests.trips.messages import ConfirmTrip, TripNoted, TripRequested
from whizbang import Saga, on, starts_on
from whizbang.exceptions import WhizbangError
from whizbang.models import DeadLetter, ParkedStream, SagaInstance
from whizbang.operations.dead_letters import discard_dead_letter, retry_dead_letter
from whizbang.operations.letter_filter import LetterFilter
from whizbang.operations.redrive import redrives, request_redrive
from whizbang.sagas.saga import DEAD_LETTER, START

Drain = Callable[..., Any]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("isolated_registry")]


def listening(unmatched: str) -> type[Saga]:
    """Hears notes for every key in their text, and sends a command for each."""

    class Listening(Saga):
        heard: list[str] = []

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None:
            self.heard.append("requested")

        @on(TripNoted, by=lambda event, meta: event.text.split())
        def noted(self, event: TripNoted) -> None:
            self.heard.append(event.text)
            self.send(ConfirmTrip(trip_id=self.key))

    Listening.unmatched = unmatched
    hear()
    return Listening


def test_event_starts_an_instance_where_that_is_asked_for() -> None:
    saga = listening(START)
    note("a b")
    hear()
    assert state_of(saga, "a") == state_of(saga, "b") == {"heard": ["a b"]}


def test_event_of_several_keys_is_a_letter_for_each_that_has_no_instance() -> None:
    saga = listening(DEAD_LETTER)
    request("a")
    note("a b c a")
    hear()
    assert [command.data for command in sent(saga, "a")] == [{"trip_id": "a"}]
    letters = DeadLetter.objects.order_by("id")
    assert [(row.saga, row.saga_key, row.reason) for row in letters] == [
        (saga.name(), "b", "NoSagaInstance"),
        (saga.name(), "c", "NoSagaInstance"),
    ]
    assert not ParkedStream.objects.exists()


def test_redriven_letter_is_heard_by_its_own_instance_alone() -> None:
    saga = listening(DEAD_LETTER)
    request("a")
    note("a b c")
    hear()
    letter = DeadLetter.objects.get(saga_key="b")
    with pytest.raises(WhizbangError, match="no instance with the key 'b'"):
        retry_dead_letter(letter.pk)
    request("b")
    hear()
    done = retry_dead_letter(letter.pk, operator="ann")
    assert done.where == f"saga {saga.name()}"
    assert state_of(saga, "b") == {"heard": ["requested", "a b c"]}
    assert len(sent(saga, "a")) == len(sent(saga, "b")) == 1
    assert list(DeadLetter.objects.values_list("saga_key", flat=True)) == ["c"]
    hear()
    assert len(events_of(saga, "b")) == 3


def test_redrive_of_many_ends(drain: Drain) -> None:
    saga = listening(DEAD_LETTER)
    note("a b c")
    hear()
    for key in "abc":
        request(key)
    hear()
    request_redrive(LetterFilter.of(reason="NoSagaInstance"), requested_by="ann")
    drain()
    (run,) = redrives()
    assert (run.status, run.done, run.handled, run.waiting) == ("done", 3, 3, [])
    assert all(len(sent(saga, key)) == 1 for key in "abc")


def test_letter_is_discarded() -> None:
    saga = listening(DEAD_LETTER)
    note("b")
    hear()
    discard_dead_letter(DeadLetter.objects.get().pk, "a test")
    request("b")
    hear()
    assert state_of(saga, "b") == {"heard": ["requested"]}


def test_what_has_ended_is_no_letter() -> None:
    class Short(Saga):
        unmatched: ClassVar[str] = DEAD_LETTER
        trip_id: str

        @starts_on(TripRequested, by="trip_id")
        def requested(self, event: TripRequested) -> None:
            self.complete()

        @on(TripNoted, by="trip_id")
        def noted(self, event: TripNoted) -> None:
            raise AssertionError("It has ended.")

    hear()
    request()
    note("a")
    hear()
    note("b")
    hear()
    SagaInstance.objects.filter(saga=Short.name()).delete()
    note("c")
    hear()
    assert not DeadLetter.objects.exists() and not ParkedStream.objects.exists()


def test_letter_of_a_saga_that_is_gone_says_so() -> None:
    listening(DEAD_LETTER)
    note("b")
    hear()
    DeadLetter.objects.update(saga="tests.Gone")
    with pytest.raises(WhizbangError, match="No saga is called 'tests.Gone' any more"):
        retry_dead_letter(DeadLetter.objects.get().pk)


def test_late_start_hears_what_follows() -> None:
    saga = listening("ignore")
    record(TripNoted(trip_id="x", text="a"))
    request("a")
    record(TripNoted(trip_id="x", text="a a"))
    hear()
    assert state_of(saga, "a") == {"heard": ["requested", "a a"]}
    assert row_of(saga, "a").error == ""
