"""Messages that wait in the outbox: how many for whom, sending one now, discarding one."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from tests.operations.messages.stored import unsent
from tests.shop.messages import NOON
from whizbang.conf import settings
from whizbang.exceptions import WhizbangError
from whizbang.models import InboxMessage, OperatorAction, OutboxMessage
from whizbang.operations.messages import outbox
from whizbang.operations.messages.outbox import find_outbox_message, list_outbox, waiting_outbox
from whizbang.operations.messages.outbox_decisions import discard_outbox_message, send_now

pytestmark = pytest.mark.django_db


def test_what_waits_is_counted_by_destination_with_the_age_of_the_oldest() -> None:
    assert waiting_outbox() == ([], 0, False, None, None)
    unsent("billing"), unsent("billing", occurred_at=NOON + timedelta(hours=1)), unsent("post")
    unsent("post", published_at=NOON)
    found = waiting_outbox()
    assert [(g.service, g.messages, g.oldest_at) for g in found.destinations] == [
        ("billing", 2, NOON),
        ("post", 1, NOON),
    ]
    assert (found.messages, found.is_cut) == (3, False)
    age = (timezone.now() - NOON).total_seconds()
    assert found.oldest_seconds == pytest.approx(age, abs=60)


def test_count_of_what_waits_is_bounded(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(outbox, "MOST_COUNTED", 2)
    rows = [unsent() for _ in range(4)]
    with django_assert_max_num_queries(3):
        found = waiting_outbox()
    assert (found.messages, found.is_cut, found.until) == (2, True, rows[2].pk)


def test_what_waits_is_listed_oldest_first_page_by_page() -> None:
    first, other, last = unsent("billing"), unsent("post"), unsent("billing")
    unsent("billing", published_at=NOON)
    assert list_outbox() == [first, other, last]
    assert list_outbox(service="billing", after=first.pk) == [last]
    assert list_outbox(limit=1) == [first]


def test_message_is_found_by_number_and_by_id() -> None:
    row = unsent()
    assert find_outbox_message(row.pk) == find_outbox_message(row.message_id) == row  # type: ignore[arg-type]
    OutboxMessage.objects.update(published_at=NOON)
    assert find_outbox_message(row.message_id) == row
    for id in (str(uuid4()), "x", "0"):
        with pytest.raises(WhizbangError, match=id):
            find_outbox_message(id)


def test_message_is_sent_without_its_delay() -> None:
    row = unsent(available_at=timezone.now() + timedelta(hours=1))
    send_now(row.pk, operator="ada", reason="the customer waits")
    row.refresh_from_db()
    assert row.available_at <= timezone.now() + timedelta(seconds=5)
    record = OperatorAction.objects.get()
    assert (record.action, record.target) == ("send-now", f"outbox message {row.pk}")
    assert record.message_id == row.message_id and "amount" not in json.dumps(record.parameters)


def test_discarded_message_is_not_sent_and_its_payload_is_kept() -> None:
    row = unsent(reply_to=settings.SERVICE)
    discard_outbox_message(row.pk, reason="a test order", operator="ada")
    assert not OutboxMessage.objects.exists()
    record = OperatorAction.objects.get()
    assert (record.action, record.operator) == ("discard", "ada")
    assert bytes(record.original or b"") == bytes(row.payload)
    receipt = InboxMessage.objects.get(message_id=row.message_id)
    assert (receipt.service, receipt.status, receipt.mode) == ("billing", "failed", "remote")
    assert receipt.error == "Discarded by an operator: a test order"


@pytest.mark.parametrize("known", [{}, {"kind": "reply"}])
def test_nobody_is_told_who_does_not_wait_here(known: dict[str, Any]) -> None:
    discard_outbox_message(unsent(**known).pk, reason="x")
    assert not InboxMessage.objects.exists()


def test_sent_message_is_left_alone() -> None:
    row = unsent(published_at=NOON)
    for decide in (send_now, lambda pk: discard_outbox_message(pk, reason="x")):
        with pytest.raises(WhizbangError, match="is sent"):
            decide(row.pk)
    with pytest.raises(WhizbangError, match="any more"):
        send_now(row.pk + 1)
    with pytest.raises(ValueError, match="reason"):
        discard_outbox_message(row.pk, reason="")
    assert not OperatorAction.objects.exists()


def call(*arguments: str) -> str:
    output = StringIO()
    call_command("whizbang", "outbox", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


def test_command_line_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    row = unsent()
    assert "1 to billing, the oldest of" in call("waiting")
    assert json.loads(call("waiting", "--json"))["destinations"][0]["service"] == "billing"
    assert str(row.message_id) in call("list", "--to", "billing")
    assert call("list", "--after", str(row.pk)) == "" == call("list", "--to", "post")
    assert "amount" not in call("list", "--json")
    assert json.loads(call("show", str(row.pk), "--json"))["payload"] == {"amount": 1}
    unsent()
    monkeypatch.setattr("whizbang.operations.messages.outbox.MOST_COUNTED", 1)
    assert "There are more" in call("waiting")


def test_command_line_decides_and_tells_beforehand() -> None:
    row = unsent(reply_to=settings.SERVICE)
    id = str(row.pk)
    told = call("discard", id, "--dry-run")
    assert "learns that it failed" in told and OutboxMessage.objects.exists()
    assert "goes at the next turn" in call("now", id, "--reason", "x")
    assert "is discarded" in call("discard", str(row.message_id), "--because", "a test")
    with pytest.raises(CommandError, match="no message"):
        call("now", id, "--reason", "x")
