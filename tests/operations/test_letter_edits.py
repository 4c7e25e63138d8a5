"""Edited copies of dead letters."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

import whizbang
from tests.shop.messages import NOON, OpenOrder
from tests.shop.models import OrderSummary
from whizbang.exceptions import DecodeError, InvalidMessage, MessageIdReused, WhizbangError
from whizbang.models import DeadLetter, InboxMessage, OperatorAction
from whizbang.operations.letter_edits import edit_dead_letter, editable_letter

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
GOOD = {"order_id": "2", "customer_id": "c9"}


@pytest.fixture
def letter(drain: Drain) -> DeadLetter:
    """A command that cannot succeed: its order is open already."""
    whizbang.send(OpenOrder(order_id="1"))
    whizbang.publish(OpenOrder(order_id="1", customer_id="c7"))
    drain()
    return DeadLetter.objects.get()


def test_edited_copy_is_handled_in_place_of_the_original(letter: DeadLetter, drain: Drain) -> None:
    done = edit_dead_letter(letter.pk, GOOD, reason="a slip of the pen", operator="ada")
    assert done.message_id == letter.message_id and done.where == "inbox"
    drain()
    assert OrderSummary.objects.filter(order_id="2").exists()
    assert InboxMessage.objects.get(message_id=letter.message_id).status == "handled"
    assert not DeadLetter.objects.exists()


def test_original_is_kept_in_the_audit_trail_and_nowhere_else_there(letter: DeadLetter) -> None:
    edit_dead_letter(letter.pk, GOOD, reason="a slip of the pen", operator="ada")
    action = OperatorAction.objects.get()
    assert (action.action, action.operator, action.reason) == ("edit", "ada", "a slip of the pen")
    assert bytes(action.original or b"") == bytes(letter.payload)
    assert "c7" not in json.dumps(action.parameters) and "c9" not in json.dumps(action.parameters)


def test_id_of_an_edited_message_still_means_the_original(letter: DeadLetter, drain: Drain) -> None:
    edit_dead_letter(letter.pk, GOOD)
    drain()
    original = OpenOrder(order_id="1", customer_id="c7")
    assert whizbang.send(original, message_id=letter.message_id) == "2"
    with pytest.raises(MessageIdReused):
        whizbang.send(OpenOrder(order_id="3"), message_id=letter.message_id)


@pytest.mark.parametrize(
    ("payload", "error", "problem"),
    [
        ([], WhizbangError, "give an object"),
        ({}, DecodeError, "order_id"),
        ({"order_id": 1}, DecodeError, "order_id"),
        ({**GOOD, "custommer": "x"}, WhizbangError, "has no field custommer"),
        ({"order_id": "2", "customer_id": "nobody"}, InvalidMessage, "needs a customer"),
        ({"order_id": "a\0b"}, InvalidMessage, "NUL"),
    ],
)
def test_what_is_no_payload_of_the_type_is_refused(
    letter: DeadLetter, payload: Any, error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        edit_dead_letter(letter.pk, payload)
    assert DeadLetter.objects.get().pk == letter.pk
    assert InboxMessage.objects.get(message_id=letter.message_id).status == "failed"
    assert not OperatorAction.objects.exists()


@pytest.mark.parametrize("type", ["shop.Gone", "shop.OrderNoted", ""])
def test_only_commands_that_are_declared_here_are_edited(type: str) -> None:
    letter = DeadLetter.objects.create(
        message_id=uuid4(),
        type=type,
        occurred_at=NOON,
        attempts=0,
        payload=b"{}",
        metadata=b"{}",
        reason="Malformed",
        error="boom",
        document=b"{",
    )
    with pytest.raises(WhizbangError, match="only commands are edited"):
        edit_dead_letter(letter.pk, {})


def test_edit_starts_from_what_the_type_is_today(letter: DeadLetter) -> None:
    DeadLetter.objects.update(payload=b'{"order_id":"1"}')
    letter.refresh_from_db()
    plain, problem = editable_letter(letter)
    assert plain == {"order_id": "1", "customer_id": "c1", "lines": []} and not problem
    DeadLetter.objects.update(payload=b'{"order_id":1}')
    letter.refresh_from_db()
    plain, problem = editable_letter(letter)
    assert plain == {"order_id": 1} and "order_id" in problem


def test_command_line_edits_from_a_file(letter: DeadLetter, tmp_path: Path) -> None:
    file, output = tmp_path / "payload.json", StringIO()
    with pytest.raises(CommandError, match="--file"):
        call_command("whizbang", "deadletters", "--edit", str(letter.pk))
    with pytest.raises(CommandError, match="Cannot read"):
        call_command("whizbang", "deadletters", "--edit", str(letter.pk), "--file", str(file))
    file.write_text(json.dumps(GOOD))
    given = ("--edit", str(letter.pk), "--file", str(file), "--because", "a slip")
    call_command("whizbang", "deadletters", *given, stdout=output)
    assert "is in the inbox again, edited." in output.getvalue()
    assert OperatorAction.objects.get().reason == "a slip"
