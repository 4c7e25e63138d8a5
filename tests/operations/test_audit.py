"""Who did what: in the table, in the log, and on the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

import whizbang
from tests.shop.messages import OpenOrder
from whizbang.models import OperatorAction, StoredEvent
from whizbang.operations.actions import By, perform
from whizbang.operations.actions.subscriptions import Pause
from whizbang.operations.audit import OperatorActed, audit_stream, find_actions, record_action
from whizbang.subscriptions.registered import all_definitions
from whizbang.testing import drain

pytestmark = pytest.mark.django_db


def note(target: str = "dead letter 1", **known: Any) -> OperatorAction:
    return record_action("discard", target, using="default", **known)


def recorded() -> list[Any]:
    stream = audit_stream(timezone.now())
    return list(whizbang.event_store().read_stream(stream))


def test_every_record_is_an_event_without_payloads() -> None:
    id = uuid4()
    record = note(
        operator="ada",
        reason="a test",
        message_id=id,
        parameters={"type": "shop.NoteOrder"},
        result="gone",
        original=b'{"secret":1}',
    )
    [(event, meta)] = recorded()
    assert event == OperatorActed(
        record=record.pk,
        action="discard",
        target="dead letter 1",
        operator="ada",
        reason="a test",
        message_id=id,
        parameters={"type": "shop.NoteOrder"},
        result="gone",
    )
    assert (meta.user, meta.type) == ("ada", "whizbang.OperatorActed")


def test_record_and_event_stand_or_fall_together() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        note()
        raise ZeroDivisionError
    assert not OperatorAction.objects.exists() and not recorded()


def test_action_is_one_event() -> None:
    perform(Pause(subscription="shop.OrderSummaries"), By("anna", "The mail server is down."))
    [(event, _)] = recorded()
    assert (event.action, event.operator) == ("pause", "anna")


def test_stream_is_that_of_a_month_in_utc() -> None:
    moment = datetime(2026, 12, 1, 0, 30, tzinfo=UTC)
    assert audit_stream(moment) == "whizbang.Audit-2026-12"
    east = moment.astimezone(tz=datetime.now().astimezone().tzinfo)
    assert audit_stream(east) == "whizbang.Audit-2026-12"


def test_nobody_subscribes_to_it_and_nobody_stumbles_over_it() -> None:
    note()
    whizbang.send(OpenOrder(order_id="1"))
    note()
    drain()
    assert StoredEvent.objects.filter(type="whizbang.OperatorActed").count() == 2
    for definition in all_definitions(whizbang.event_store()):
        assert "whizbang.OperatorActed" not in (definition.type_names or ())


def test_actions_are_found_by_who_what_where_and_when() -> None:
    old, other, newest = note(operator="ada"), note("redrive 2", operator="ben"), note()
    OperatorAction.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(days=2))
    assert find_actions() == [newest, other, old]
    assert find_actions(limit=1) == [newest]
    assert find_actions(target="dead letter 1") == [newest, old]
    assert find_actions(operator="ben") == [other] == find_actions(target="redrive 2")
    assert find_actions(action="pause") == []
    yesterday = timezone.now() - timedelta(days=1)
    assert find_actions(since=yesterday) == [newest, other]
    assert find_actions(before=yesterday) == [old]


def call(*arguments: str) -> str:
    output = StringIO()
    call_command("whizbang", "audit", *arguments, stdout=output)
    return output.getvalue()


def test_command_line_tells_who_did_what() -> None:
    note(operator="ada", reason="a test", result="gone", original=b"secret")
    note("redrive 2")
    assert "ada: discard dead letter 1, because: a test -> gone" in call("--operator", "ada")
    assert "-: discard redrive 2\n" in call("--target", "redrive 2")
    assert call("--since", "2100-01-01") == ""
    lines = [json.loads(line) for line in call("--json").splitlines()]
    assert [line["target"] for line in lines] == ["redrive 2", "dead letter 1"]
    assert "secret" not in call("--json")
