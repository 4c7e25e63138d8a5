"""Redriving what was given up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

import whizbang
from tests.shop.messages import OpenOrder
from whizbang.models import DeadLetter, InboxMessage
from whizbang.operations.dead_letters import retry_dead_letter

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
