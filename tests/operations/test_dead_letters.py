"""Looking at what was given up, redriving and discarding it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

import whizbang
from tests.shop.messages import NOON, NoteOrder, OpenOrder
from tests.shop.models import Heard
from whizbang.exceptions import WhizbangError
from whizbang.management.verbs.acting import command_line_operator
from whizbang.models import DeadLetter, InboxMessage, OperatorAction
from whizbang.operations import dead_letters
from whizbang.operations.cleanup import cleanup
from whizbang.operations.dead_letters import (
    discard_dead_letter,
    find_dead_letters,
    group_dead_letters,
    retry_dead_letter,
)

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]


@pytest.fixture
def letter(drain: Drain) -> DeadLetter:
    whizbang.send(OpenOrder(order_id="1"))
    whizbang.publish(OpenOrder(order_id="1"), expires=timedelta(hours=1))
    drain()
    letter = DeadLetter.objects.get()
    DeadLetter.objects.update(payload=letter.payload.replace(b'"1"', b'"2"'))
    return letter


def test_redriven_message_is_handled_although_it_has_expired(
    letter: DeadLetter, drain: Drain
) -> None:
    InboxMessage.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    row = retry_dead_letter(letter.pk).row
    assert row is not None
    assert drain().commands == 1
    row.refresh_from_db()
    assert row.status == "handled"
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize("key", ["pk", "message_id"])
def test_command_line_redrives_by_number_and_by_message_id(letter: DeadLetter, key: str) -> None:
    output = StringIO()
    call_command("whizbang", "redrive", str(getattr(letter, key)), stdout=output)
    assert "is in the inbox again." in output.getvalue()
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize("id", ["x", "0", "018f0000-0000-7000-8000-000000000000"])
def test_command_line_says_which_dead_letter_it_does_not_find(letter: DeadLetter, id: str) -> None:
    with pytest.raises(CommandError, match=id):
        call_command("whizbang", "redrive", id)


def bury(type: str = "shop.NoteOrder", reason: str = "boom", **known: Any) -> DeadLetter:
    """A letter of its own, without a row in the inbox."""
    died_at = known.pop("died_at", None)
    letter = DeadLetter.objects.create(
        **{
            "message_id": uuid4(),
            "type": type,
            "reason": reason,
            "occurred_at": NOON,
            "attempts": 1,
            "payload": b'{"secret": 1}',
            "metadata": b"{}",
            "error": f"{reason}: at once",
            **known,
        }
    )
    if died_at is not None:
        DeadLetter.objects.filter(pk=letter.pk).update(died_at=died_at)
    return letter


def call(*arguments: str) -> str:
    output = StringIO()
    call_command("whizbang", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


# Looking


def test_letters_are_found_by_type_reason_time_and_id() -> None:
    old = bury(died_at=NOON)
    other_type, other_reason = bury(type="shop.OpenOrder"), bury(reason="Rejected")
    everything = [old, other_type, other_reason]
    assert list(find_dead_letters()) == everything
    assert list(find_dead_letters(type="shop.OpenOrder")) == [other_type]
    assert list(find_dead_letters(type="shop.NoteOrder", reason="Rejected")) == [other_reason]
    assert list(find_dead_letters(before=NOON)) == []
    assert list(find_dead_letters(since=NOON, before=NOON + timedelta(seconds=1))) == [old]
    assert list(find_dead_letters(since=(NOON + timedelta(days=1)).date())) == everything[1:]
    assert list(find_dead_letters(ids=[old.pk, other_type.message_id])) == [old, other_type]
    with pytest.raises(WhizbangError, match="neither the number nor the message id"):
        list(find_dead_letters(ids=["x"]))
    with pytest.raises(WhizbangError, match="time zone"):
        list(find_dead_letters(since=NOON.replace(tzinfo=None)))
    with pytest.raises(WhizbangError, match="1000 at most"):
        list(find_dead_letters(ids=range(1001)))


def test_letters_are_read_page_by_page_without_payloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "_PAGE_ROWS", 2)
    letters = [bury() for _ in range(5)]
    with CaptureQueriesContext(connection) as captured:
        assert list(find_dead_letters()) == letters
    assert len(captured) == 4
    assert not any('."payload"' in q["sql"].replace("`", '"') for q in captured)


def test_groups_are_counted_by_type_and_reason_with_the_newest_time() -> None:
    bury(died_at=NOON)
    bury(died_at=NOON + timedelta(hours=1))
    bury(reason="Rejected", died_at=NOON)
    assert [tuple(group) for group in group_dead_letters()] == [
        ("shop.NoteOrder", "boom", 2, NOON + timedelta(hours=1)),
        ("shop.NoteOrder", "Rejected", 1, NOON),
    ]
    assert len(group_dead_letters(limit=1)) == 1


# Ordering keys


@pytest.fixture
def parked_key(drain: Drain) -> DeadLetter:
    """Three notes of one key, of which the first has died; the others wait behind it."""
    for text in ("fail", "second", "third"):
        whizbang.publish(NoteOrder(order_id="1", text=text), ordering_key="k")
    drain()
    assert texts() == []
    return DeadLetter.objects.get()


def texts() -> list[str]:
    return list(Heard.objects.order_by("pk").values_list("text", flat=True))


def test_dead_message_parks_its_key_until_it_is_discarded(
    parked_key: DeadLetter, drain: Drain
) -> None:
    discard_dead_letter(parked_key.pk, "a test order", operator="ada")
    drain()
    assert texts() == ["handled second", "handled third"]
    row = InboxMessage.objects.get(message_id=parked_key.message_id)
    assert (row.status, row.ordering_key) == ("failed", None)
    assert not DeadLetter.objects.exists()


def test_redriven_message_is_handled_before_those_behind_it(
    parked_key: DeadLetter, drain: Drain
) -> None:
    payload = bytes(parked_key.payload).replace(b'"fail"', b'"first"')
    DeadLetter.objects.update(payload=payload)
    retry_dead_letter(parked_key.pk)
    drain()
    assert texts() == ["handled first", "handled second", "handled third"]


# Discarding


def test_discarded_message_is_failed_to_who_waits_for_it(letter: DeadLetter, drain: Drain) -> None:
    row = InboxMessage.objects.get(message_id=letter.message_id)
    discard_dead_letter(letter.pk, "a test order", operator="ada")
    drain()
    row.refresh_from_db()
    assert row.status == "failed" and "OpenAlready" in row.error
    action = OperatorAction.objects.get()
    assert (action.action, action.operator, action.reason) == ("discard", "ada", "a test order")
    assert action.target == f"dead letter {letter.pk}"
    assert action.message_id == letter.message_id
    assert action.parameters["type"] == "shop.OpenOrder"
    assert "order_id" not in json.dumps(action.parameters) and action.original is None


def test_discard_needs_a_reason_and_a_letter(letter: DeadLetter) -> None:
    with pytest.raises(ValueError, match="Give a reason"):
        discard_dead_letter(letter.pk, " ")
    discard_dead_letter(letter.pk, "once")
    with pytest.raises(WhizbangError, match="is gone"):
        discard_dead_letter(letter.pk, "twice")
    assert OperatorAction.objects.count() == 1


def test_redrive_of_one_is_in_the_audit_trail(letter: DeadLetter) -> None:
    retry_dead_letter(letter.pk, operator="ada", reason="mended")
    action = OperatorAction.objects.get()
    assert (action.action, action.operator, action.reason) == ("redrive", "ada", "mended")
    assert action.result.endswith("is in the inbox again")


def test_cleanup_keeps_what_a_letter_needs_and_ends_the_audit_trail(
    letter: DeadLetter, settings: Settings
) -> None:
    settings.WHIZBANG = {"KEEP_HANDLED_DAYS": 1, "KEEP_AUDIT_DAYS": 2}
    InboxMessage.objects.update(finished_at=NOON)
    cleanup()
    assert InboxMessage.objects.filter(message_id=letter.message_id).exists()
    discard_dead_letter(letter.pk, "old")
    assert cleanup()["operator_action"] == 0
    assert not InboxMessage.objects.filter(message_id=letter.message_id).exists()
    OperatorAction.objects.update(at=NOON)
    assert cleanup()["operator_action"] == 1


# Command line


def test_payload_is_shown_on_demand_only(letter: DeadLetter) -> None:
    for options in ((), ("--json",), ("--groups",), ("--groups", "--json")):
        assert "order_id" not in call("deadletters", *options)
    assert '"order_id": "2"' in call("deadletters", "--show", str(letter.pk))
    shown = json.loads(call("deadletters", "--show", str(letter.message_id), "--json"))
    assert shown["payload"]["order_id"] == "2" and "Traceback" in shown["traceback"]


def test_document_that_cannot_be_read_is_shown_as_it_is() -> None:
    letter = bury(document=b"{\xff", payload=b"null")
    assert "document: {\\xff" in call("deadletters", "--show", str(letter.pk))


def test_list_is_filtered_and_grouped() -> None:
    bury()
    rejected = bury(reason="Rejected")
    assert str(rejected.message_id) in call("deadletters", "--reason", "Rejected")
    assert call("deadletters", "--type", "shop.Other") == ""
    assert call("deadletters", "--before", "2020-01-01") == ""
    assert "1 shop.NoteOrder Rejected, newest 20" in call("deadletters", "--groups")
    listed = [json.loads(line) for line in call("deadletters", "--groups", "--json").splitlines()]
    assert [group["letters"] for group in listed] == [1, 1]


def test_discard_on_the_command_line_does_what_it_can_and_tells_the_rest() -> None:
    first, second = bury(), bury()
    with pytest.raises(CommandError, match="no dead letter 999999"):
        call("discard", str(first.pk), "999999", str(second.message_id), "--reason", "a test")
    assert not DeadLetter.objects.exists()
    assert {a.operator for a in OperatorAction.objects.all()} == {command_line_operator()}
    with pytest.raises(CommandError, match="reason"):
        call("discard", "1", "--reason", " ")


def test_discard_of_all_that_match_on_the_command_line() -> None:
    mine, other = bury(), bury(reason="Rejected")
    for strange in ((), ("--all", "--cause", "boom")):
        with pytest.raises(CommandError, match="Say which dead letters"):
            call("discard", *strange, "--reason", "x")
    assert "dead letters: 1" in call("discard", "--cause", "boom", "--dry-run")
    assert "1 dead letters are discarded" in call("discard", "--cause", "boom", "--reason", "x")
    assert list(DeadLetter.objects.all()) == [other]
    assert OperatorAction.objects.get().target == f"dead letter {mine.pk}"
    with pytest.raises(CommandError, match="no such dead letter"):
        call("discard", "--cause", "boom", "--reason", "x")


def test_command_line_asks_for_a_second_person_where_settings_say_so(
    letter: DeadLetter, settings: Settings
) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": ["redrive"]}
    said = call("redrive", str(letter.pk), "--because", "mended")
    assert "waits until somebody else approves it" in said
    assert DeadLetter.objects.exists() and not OperatorAction.objects.exists()
