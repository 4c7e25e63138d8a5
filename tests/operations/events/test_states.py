"""States of the past: at a version, by date, masked, and where they cannot be told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Annotated, Any

import pytest
from django.core.management import CommandError, call_command

import whizbang
from tests.shop.aggregates import Order
from tests.shop.messages import NOON, NoteOrder, OpenOrder, OrderNoted
from whizbang import PERSONAL, Aggregate, Event, Value, applies, named
from whizbang.models import StoredEvent
from whizbang.operations.events import states
from whizbang.operations.events.states import (
    NoState,
    aggregate_of,
    masked_state,
    state_at,
    state_difference,
    version_at,
)
from whizbang.operations.history import rewriting

pytestmark = pytest.mark.django_db
STREAM = "shop.Order-1"


@pytest.fixture
def order() -> str:
    whizbang.send(OpenOrder(order_id="1"))
    whizbang.send(NoteOrder(order_id="1", text="hello"))
    return STREAM


def test_aggregate_is_known_by_its_stream() -> None:
    assert aggregate_of("shop.Order-a-b") == (Order, "a-b")
    assert aggregate_of("shop.Other-1") is None


def test_state_and_what_the_version_changed(order: str) -> None:
    for version in (1, 2):
        past = whizbang.history(Order, "1").as_of(version=version)
        assert state_at(order, version)["status"] == past.status
    found = state_difference(order, 1)
    assert (found.aggregate, found.version, found.last_version) == ("shop.Order", 1, 2)
    assert found.changes
    assert {change.name for change in found.changes} <= {field.name for field in found.fields}
    assert all(change.before != change.after for change in found.changes)


@pytest.mark.parametrize("version", [0, 3, -1])
def test_version_that_is_not_there_is_refused_in_words(order: str, version: int) -> None:
    with pytest.raises(NoState, match=f"has no version {version}"):
        state_at(order, version)


def test_stream_without_a_class_has_no_state() -> None:
    whizbang.event_store().append("shop.Other-1", [OrderNoted(order_id="1", text="a")])
    with pytest.raises(NoState, match="No aggregate class"):
        state_difference("shop.Other-1", 1)


def test_event_that_cannot_be_applied_is_told_beside_the_state_before(order: str) -> None:
    with rewriting(reason="a class that is gone"):
        StoredEvent.objects.filter(version=2).update(type="shop.Gone")
    found = state_difference(order, 2)
    assert "Version 2 of shop.Order-1 (shop.Gone) cannot be applied" in found.problem
    assert found.changes == []
    assert {f.name: f.after for f in found.fields} == state_at(order, 1)
    with pytest.raises(NoState, match="cannot be applied"):
        state_at(order, 2)


def test_long_stream_is_refused_unless_a_snapshot_is_near(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "MOST_EVENTS", 1)
    with pytest.raises(NoState, match="2 events away"):
        state_at(order, 2)
    assert state_at(order, 1)


def test_version_by_date() -> None:
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 5, 3)]
    for number, day in enumerate(days):
        event = OrderNoted(order_id="1", text=str(number))
        whizbang.event_store().append(STREAM, [event], occurred_at=day)
    assert version_at(STREAM, occurred=days[0]) == 1
    assert version_at(STREAM, occurred=datetime(2024, 1, 4, tzinfo=UTC)) == 3
    assert version_at(STREAM, occurred=datetime(2023, 1, 1, tzinfo=UTC)) == 0
    assert version_at(STREAM, recorded=datetime.now(UTC)) == 3
    assert version_at(STREAM, recorded=NOON) == 0


class Home(Value):
    street: Annotated[str, PERSONAL]
    country: str


@named("tests.Moved")
class Moved(Event):
    email: Annotated[str, PERSONAL]
    home: Home


class Person(Aggregate):
    category = "tests.Person"
    email: str = ""
    alias: Annotated[str, PERSONAL] = ""
    home: Home | None = None
    moves: int = 0
    odd: Any = None

    @applies(Moved)
    def _moved(self, event: Moved) -> None:
        self.email, self.alias, self.home = event.email, event.email, event.home
        self.moves += 1
        self.odd = object
        self.unannotated = event.email


@pytest.fixture
def person() -> Iterator[str]:
    event = Moved(email="secret", home=Home(street="secret", country="DE"))
    whizbang.event_store().append("tests.Person-1", [event])
    yield "tests.Person-1"


def test_personal_data_of_a_state_are_masked(person: str) -> None:
    state = state_at(person, 1)
    assert state["email"] == "secret"
    assert state["odd"] == "<class 'object'>"
    masked = masked_state(person, state)
    assert "secret" not in json.dumps(masked)
    assert masked["home"] == {"street": "•••", "country": "DE"}
    assert masked["moves"] == 1
    assert masked_state("tests.Nobody-1", {"a": [1]}) == {"a": ["•••"]}


def test_verb_shows_states_and_changes(order: str) -> None:
    out = StringIO()
    call_command("whizbang", "state", order, "--version", "1", "--json", stdout=out)
    assert json.loads(out.getvalue()) == state_at(order, 1)
    out = StringIO()
    call_command("whizbang", "state", order, "--changes", stdout=out)
    assert "shop.Order-1 at version 2" in out.getvalue()
    out = StringIO()
    call_command("whizbang", "state", order, "--recorded", "2100-01-01", stdout=out)
    assert "status = " in out.getvalue()
    with pytest.raises(CommandError, match="had none by then"):
        call_command("whizbang", "state", order, "--recorded", "1990-01-01")
    with pytest.raises(CommandError, match="No aggregate class"):
        call_command("whizbang", "state", "shop.Other-1", "--version", "1")
