"""The story of an instance: causes, commands and what became of them, across services."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.db.models.functions import Now
from django.test import override_settings
from django.utils import timezone

from tests.sagas.steering import SAGA, begin, note, saga, wait_for_payment
from tests.trips.messages import CardCharged
from whizbang import WhizbangError, event_store
from whizbang.domain.unit_of_work import UnitOfWork
from whizbang.messages.envelope import Envelope
from whizbang.messages.metadata import Metadata
from whizbang.models import DeadLetter, InboxMessage, OutboxMessage, SagaInstance
from whizbang.operations.edits import edit_parked
from whizbang.operations.sagas.effects import Sent, find_effects
from whizbang.operations.sagas.instance import look_at
from whizbang.operations.sagas.sent import fates_of
from whizbang.operations.sagas.story import StoryCommand, StoryStep, steps_of
from whizbang.testing import drain

pytestmark = pytest.mark.django_db


def charging_step() -> tuple[StoryStep, StoryCommand]:
    """The step that has sent ChargeCard, which nobody has answered, and that command."""
    return next((s, c) for s in story() for c in s.commands if c.type == "trips.ChargeCard")


def record_caused_by(command: UUID, *, service: str = "default") -> None:
    """The answer to a ChargeCard, as its handler would record it."""
    parent = Metadata(message_id=command, correlation_id=command, occurred_at=timezone.now())
    unit = UnitOfWork(None)
    with override_settings(WHIZBANG={"SERVICE": service}), transaction.atomic():
        unit.add("trips.Card-1", Envelope(CardCharged(trip_id="1", price=0), parent=parent))
        unit.commit()


def story(key: str = "1", **options: Any) -> list[StoryStep]:
    return list(steps_of(SAGA, key, **options))


def test_each_step_has_its_cause_and_what_it_did() -> None:
    begin("1", price=101)
    told = story()
    kinds = [(step.version, step.kind, step.methods) for step in told]
    assert kinds == [
        (1, "started", ()),
        (2, "reacted", ("requested",)),
        (3, "reacted", ("reserved",)),
        (4, "reacted", ("declined",)),
        (5, "failed", ()),
    ]
    cause = told[1].cause
    assert cause is not None
    assert (cause.type, cause.stream, cause.version) == ("trips.TripRequested", "trips.Trip-1", 1)
    assert cause.data == {"trip_id": "1", "seat": "1a", "price": 101}
    assert told[1].changes == {"trip_id": "1", "price": 101, "notes": []}
    assert [timeout.name for timeout in told[1].timeouts] == ["unpaid"]
    assert [plan.type for plan in told[2].compensations] == ["trips.ReleaseSeat"]
    assert told[4].reason == "the card was declined"


def test_each_command_leads_to_the_events_that_it_has_caused() -> None:
    begin("1", price=101)
    led = {
        command.type: [effect.type for effect in command.effects]
        for step in story()
        for command in step.commands
    }
    assert led == {
        "trips.ReserveSeat": ["trips.SeatReserved"],
        "trips.ChargeCard": ["trips.CardDeclined"],
        "trips.ReleaseSeat": ["trips.SeatReleased"],
    }


def test_what_the_instance_has_heard_is_an_effect_without_reading_the_log() -> None:
    begin("1", price=101)
    told = story(look_ahead=0)
    led = {c.type: ([e.type for e in c.effects], c.is_cut) for s in told for c in s.commands}
    assert led["trips.ChargeCard"] == (["trips.CardDeclined"], True)
    assert led["trips.ReleaseSeat"] == ([], True)
    assert "no event of it was found" in saga("show", SAGA, "1", "--look-ahead", "0")


def test_search_for_effects_is_bounded_and_says_so() -> None:
    wait_for_payment()
    step, command = charging_step()
    for number in range(5):
        note(str(number), "2")
    record_caused_by(command.message_id)
    sent = [Sent(step.position, [command.message_id])]
    near = find_effects(event_store(), sent, most=3)
    assert (near.by_command[command.message_id], near.cut) == ([], {step.position})
    far = find_effects(event_store(), sent, most=50)
    assert [effect.type for effect in far.by_command[command.message_id]] == ["trips.CardCharged"]
    assert far.cut == frozenset()


def test_search_for_effects_reads_no_event_twice() -> None:
    wait_for_payment()
    _, command = charging_step()
    record_caused_by(command.message_id)
    sent = [Sent(0, [uuid4()]), Sent(1, [command.message_id])]
    found = find_effects(event_store(), sent, most=50).by_command
    assert len(found[command.message_id]) == 1


def test_service_of_origin_is_told() -> None:
    wait_for_payment()
    _, command = charging_step()
    record_caused_by(command.message_id, service="payments")
    drain()
    cause = story()[3].cause
    assert cause is not None
    assert (cause.service, cause.causation_id) == ("payments", command.message_id)
    shown = saga("show", SAGA, "1")
    at = f"trips.Card-1 version 1, position {cause.position}"
    assert f"led to trips.CardCharged ({at}) of service payments" in shown
    assert f"from {at}, of service payments" in shown


def test_command_given_up_is_told_with_its_dead_letter() -> None:
    wait_for_payment()
    _, command = charging_step()
    letter = DeadLetter.objects.create(
        message_id=command.message_id,
        type="trips.ChargeCard",
        payload=b"{}",
        metadata=b"{}",
        occurred_at=Now(),
        reason="CardBroken",
        error="CardBroken: no chip",
        attempts=3,
    )
    fate = charging_step()[1].fate
    assert (fate.status, fate.dead_letter, fate.attempts) == ("dead", letter.pk, 3)
    assert f"dead letter {letter.pk}: CardBroken: no chip" in saga("show", SAGA, "1")


def test_command_whose_row_was_cleaned_up_is_gone() -> None:
    wait_for_payment()
    InboxMessage.objects.all().delete()
    assert charging_step()[1].fate.status == "gone"
    assert "KEEP_HANDLED_DAYS" in saga("show", SAGA, "1")


def test_command_for_another_service_is_unsent_and_then_published() -> None:
    wait_for_payment()
    step, command = charging_step()
    InboxMessage.objects.filter(message_id=command.message_id).delete()
    row = OutboxMessage.objects.create(
        service="payments",
        message_id=command.message_id,
        type="trips.ChargeCard",
        payload=b"{}",
        metadata=b"{}",
        occurred_at=step.recorded_at,
        available_at=step.recorded_at,
    )
    assert charging_step()[1].fate.status == "unsent"
    OutboxMessage.objects.update(published_at=Now())
    fate = charging_step()[1].fate
    assert (fate.status, fate.service) == ("published", "payments")
    row.delete()
    assert charging_step()[1].fate.status == "gone"


def test_fates_take_as_many_statements_for_many_as_for_one(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(3):
        fates_of([uuid4() for _ in range(20)], using="default")


def test_edited_copy_is_what_the_saga_has_read() -> None:
    wait_for_payment()
    note("break")
    payload = {"trip_id": "1", "text": "mended"}
    edit_parked(SAGA, stream="trips.Note-1", payload=payload, reason="A typo.")
    drain()
    cause = story()[-1].cause
    assert cause is not None and cause.is_edited and cause.data == payload


def test_pages_give_what_one_page_would(monkeypatch: pytest.MonkeyPatch) -> None:
    begin("1", price=101)
    whole = story(with_states=True)
    monkeypatch.setattr("whizbang.operations.sagas.story._PAGE_STEPS", 2)
    assert story(with_states=True) == whole
    assert story(after=2, until=4, with_states=True) == whole[2:4]


def test_state_after_each_step() -> None:
    wait_for_payment()
    note("a")
    note("b")
    states = [step.state for step in story(with_states=True)]
    assert [state["notes"] for state in states if state] == [[], [], ["a"], ["a", "b"]]


def test_instance_at_any_version() -> None:
    begin("1")
    before = look_at(SAGA, "1", version=3)
    assert (before.status, before.version, before.last_step) == ("open", 3, "reserved")
    assert [waiting.name for waiting in before.waiting] == ["unpaid"]
    assert [plan.type for plan in before.compensations] == ["trips.ReleaseSeat"]
    now = look_at(SAGA, "1")
    assert (now.status, now.version, now.waiting) == ("completed", 6, ())
    for version in (0, 7):
        with pytest.raises(WhizbangError, match=f"has no version {version}: .* at 6"):
            look_at(SAGA, "1", version=version)
    with pytest.raises(WhizbangError, match="no instance with the key '9'"):
        look_at(SAGA, "9")


def test_what_stands_in_the_way_is_told() -> None:
    wait_for_payment()
    note("break")
    failing = look_at(SAGA, "1").failing
    assert failing is not None
    assert (failing.type, failing.stream) == ("trips.TripNoted", "trips.Note-1")
    assert "stands at trips.TripNoted (trips.Note-1 version 1" in saga("show", SAGA, "1")


def test_instance_without_a_row_is_told_from_its_stream() -> None:
    begin("1")
    before = look_at(SAGA, "1")
    SagaInstance.objects.all().delete()  # as after KEEP_SAGAS_DAYS
    assert look_at(SAGA, "1") == before


def test_command_line_shows_all_and_one_step_as_json() -> None:
    begin("1")
    lines = saga("show", SAGA, "1", "--json").splitlines()
    assert [json.loads(line)["version"] for line in lines] == [6, 1, 2, 3, 4, 5, 6]
    facts, step = map(json.loads, saga("show", SAGA, "1", "--version", "3", "--json").splitlines())
    assert (facts["version"], step["version"]) == (3, 3)
    assert [
        json.loads(line)["version"]
        for line in saga("show", SAGA, "1", "--after", "1", "--limit", "2", "--json").splitlines()
    ][1:] == [2, 3]
