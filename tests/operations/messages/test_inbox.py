"""Messages that wait in the inbox: finding, listing, handling them now, later or never."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

import whizbang
from tests.operations.messages.stored import waiting
from tests.shop.messages import NoteOrder, OpenOrder
from tests.shop.models import Heard
from whizbang.exceptions import CommandFailed, WhizbangError
from whizbang.messaging.receipts import Receipt
from whizbang.models import DeadLetter, InboxMessage, OperatorAction, OutboxMessage
from whizbang.operations.messages.inbox import (
    Due,
    count_behind,
    find_inbox_message,
    list_inbox,
    list_scheduled,
    why_it_waits,
)
from whizbang.operations.messages.inbox_decisions import (
    discard_inbox_message,
    handle_now,
    reschedule,
)

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]


def texts() -> list[str]:
    return list(Heard.objects.order_by("pk").values_list("text", flat=True))


# Looking


def test_message_is_found_by_number_and_by_id() -> None:
    row = waiting()
    assert find_inbox_message(str(row.pk)) == find_inbox_message(row.message_id) == row
    for id in ("x", "0", str(uuid4())):
        with pytest.raises(WhizbangError, match=id):
            find_inbox_message(id)


def test_list_goes_from_the_newest_back_page_by_page() -> None:
    rows = [waiting() for _ in range(3)]
    InboxMessage.objects.filter(pk=rows[0].pk).update(status="handled", finished_at=timezone.now())
    assert list_inbox(limit=2) == [rows[2], rows[1]]
    assert list_inbox(before=rows[1].pk) == [rows[0]]
    assert list_inbox(statuses=["handled"]) == [rows[0]]
    assert list_inbox(statuses=["stored"], type="shop.NoteOrder") == [rows[2], rows[1]]
    assert list_inbox(type="shop.Other") == []


def test_scheduled_ones_are_listed_soonest_first_whatever_their_priority() -> None:
    late, soon = waiting(delay_seconds=7200), waiting(delay_seconds=60)
    InboxMessage.objects.filter(pk=late.pk).update(priority=5)
    due = waiting(delay_seconds=0)
    found = list_scheduled()
    assert found == [soon, late] and due not in found
    assert list_scheduled(limit=1) == [soon]
    assert list_scheduled(after=Due(soon.available_at, soon.pk)) == [late]


def test_scheduled_ones_cost_a_statement_a_priority(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(5):
        waiting()
    with django_assert_max_num_queries(3):
        assert len(list_scheduled()) == 5


def test_why_a_message_waits_is_told(drain: Drain) -> None:
    first, second = waiting(key="k"), waiting(key="k", delay_seconds=0)
    assert why_it_waits(first) == "scheduled"
    assert f"behind message {first.pk} (stored)" in why_it_waits(second)
    assert (count_behind(first), count_behind(second)) == (1, 0)
    first.status = "retrying"
    assert why_it_waits(first) == "waits for its retry"
    first.status, first.token_at = "stored", first.available_at
    assert why_it_waits(first) == "waits for its rate limit"
    assert why_it_waits(waiting(delay_seconds=0)) == ""


# Now


def test_scheduled_message_is_handled_now(drain: Drain) -> None:
    row = waiting("early")
    drain()
    assert texts() == []
    done = handle_now(row.pk, operator="ada", reason="the customer waits")
    drain()
    assert texts() == ["handled early"]
    record = OperatorAction.objects.get()
    assert done.record == record
    assert (record.action, record.target) == ("handle-now", f"inbox message {row.pk}")
    assert (record.operator, record.message_id) == ("ada", row.message_id)
    assert "early" not in json.dumps(record.parameters)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"status": "handled", "finished_at": datetime(2026, 1, 1, tzinfo=UTC)}, "is handled"),
        ({"status": "running"}, "being handled"),
        ({"mode": "inline"}, "who sent it"),
        ({"mode": "remote"}, "decide there"),
        ({"service": "billing"}, "decide there"),
    ],
)
def test_what_does_not_wait_is_left_alone(change: dict[str, Any], problem: str) -> None:
    row = waiting()
    InboxMessage.objects.update(**change)
    decisions: list[Callable[[], Any]] = [
        lambda: handle_now(row.pk),
        lambda: reschedule(row.pk, timezone.now() + timedelta(hours=1)),
        lambda: discard_inbox_message(row.pk, reason="x"),
    ]
    for decide in decisions:
        with pytest.raises(WhizbangError, match=problem):
            decide()
    assert not OperatorAction.objects.exists()


# Later


def test_message_is_rescheduled() -> None:
    row, at = waiting(), timezone.now() + timedelta(days=2)
    reschedule(row.pk, at, operator="ada", reason="after the move")
    row.refresh_from_db()
    assert abs(row.available_at - at) < timedelta(milliseconds=1)
    assert OperatorAction.objects.get().parameters["to"] == at.isoformat()


def test_time_must_be_to_come_and_before_it_expires() -> None:
    row, now = waiting(), timezone.now()
    InboxMessage.objects.update(expires_at=now + timedelta(hours=1))
    for at, problem in (
        (now - timedelta(hours=1), "is past"),
        (now + timedelta(hours=2), "expires at"),
        (datetime(2100, 1, 1), "no time zone"),
    ):
        with pytest.raises(WhizbangError, match=problem):
            reschedule(row.pk, at)


# Never


def test_discarded_message_has_failed_for_its_receipt_and_its_payload_is_kept(
    drain: Drain,
) -> None:
    row = waiting("secret")
    discard_inbox_message(row.pk, reason="a test order", operator="ada")
    drain(advance=timedelta(hours=2))
    assert texts() == []
    receipt: Receipt[Any] = Receipt(row.message_id, NoteOrder, using="default").refresh()
    assert (receipt.status, receipt.error) == (
        "failed",
        "Discarded by an operator: a test order",
    )
    record = OperatorAction.objects.get()
    assert b"secret" in bytes(record.original or b"")
    assert "secret" not in json.dumps(record.parameters) + record.result
    row.refresh_from_db()
    assert row.payload is None and not DeadLetter.objects.exists()


def test_discarded_message_sent_again_has_failed_still() -> None:
    whizbang.send(OpenOrder(order_id="1"))
    order, id = OpenOrder(order_id="9"), uuid4()
    whizbang.publish(order, message_id=id, delay=timedelta(hours=1))
    row = InboxMessage.objects.get(message_id=id)
    discard_inbox_message(row.pk, reason="a test order")
    with pytest.raises(CommandFailed, match="Discarded"):
        whizbang.send(order, message_id=id)


def test_discarded_message_lets_the_next_of_its_key_go_on(drain: Drain) -> None:
    first, _second = waiting("first", key="k"), waiting("second", key="k", delay_seconds=0)
    drain()
    assert texts() == []
    done = discard_inbox_message(first.pk, reason="a test order")
    assert "'k' goes on without it" in done.text
    drain()
    assert texts() == ["handled second"]


def test_other_service_that_asks_is_told() -> None:
    row = waiting()
    InboxMessage.objects.update(reply_to="billing")
    discard_inbox_message(row.pk, reason="a test order")
    answer = OutboxMessage.objects.get()
    assert (answer.kind, answer.service) == ("reply", "billing")
    assert b"Discarded by an operator: a test order" in bytes(answer.payload)


def test_message_whose_worker_died_can_be_discarded_and_its_effects_cannot_commit() -> None:
    row = waiting()
    claim, past = uuid4(), timezone.now() - timedelta(minutes=1)
    InboxMessage.objects.update(status="running", claim=claim, available_at=past)
    with pytest.raises(WhizbangError, match="being handled"):
        handle_now(row.pk)
    discard_inbox_message(row.pk, reason="it kills workers")
    row.refresh_from_db()
    assert (row.status, row.claim) == ("failed", None)


def test_discard_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="reason"):
        discard_inbox_message(waiting().pk, reason=" ")


# Command line


def call(*arguments: str) -> str:
    output = StringIO()
    call_command("whizbang", "inbox", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


def test_command_line_looks() -> None:
    row = waiting("secret")
    id = str(row.pk)
    listed = call("list", "--status", "stored", "--type", "shop.NoteOrder")
    assert str(row.message_id) in listed and "scheduled" in listed
    assert call("list", "--before", id) == ""
    scheduled = json.loads(call("scheduled", "--json"))
    assert (scheduled["id"], scheduled["why"]) == (row.pk, "scheduled")
    for shown in (listed, call("list", "--json"), call("scheduled")):
        assert "secret" not in shown
    assert json.loads(call("show", id, "--json"))["payload"]["text"] == "secret"
    assert "payload:" in call("show", str(row.message_id))


def test_command_line_decides_and_tells_beforehand(drain: Drain) -> None:
    row = waiting("early", key="k")
    id = str(row.pk)
    told = call("now", id, "--dry-run")
    assert "nothing is done" in told and "ordering key: k" in told
    assert not OperatorAction.objects.exists()
    assert "is due at 2100-01-01" in call("reschedule", id, "--to", "2100-01-01", "--reason", "x")
    assert "is due now" in call("now", id, "--because", "the customer waits")
    assert "is discarded" in call("discard", str(row.message_id), "--reason", "a test")
    with pytest.raises(CommandError, match="does not wait any more"):
        call("now", id, "--reason", "x")
    names = list(OperatorAction.objects.order_by("pk").values_list("action", "reason"))
    assert names == [
        ("reschedule", "x"),
        ("handle-now", "the customer waits"),
        ("discard", "a test"),
    ]
