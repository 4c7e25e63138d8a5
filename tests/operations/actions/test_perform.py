"""Actions of operators: once, with a reason, on what was seen, by two people where settings say so."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from tests.processes import wait_until
from whizbang.models import ActionRequest, OperatorAction, Subscription
from whizbang.operations.actions import (
    Action,
    By,
    ChangedMeanwhile,
    NotApprovable,
    ReasonMissing,
    UnknownAction,
    action_class,
    action_names,
    approve,
    perform,
    read_action,
    refuse,
    requests_waiting,
    withdraw,
)
from whizbang.operations.actions.action import Done
from whizbang.operations.actions.requests_part import RequestsPart
from whizbang.operations.actions.subscriptions import Pause, Resume
from whizbang.operations.subscriptions import pause, resume, subscription_row
from whizbang.store.event_store import event_store
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
ANNA, BEN = By("anna", "The mail server is down."), By("ben", "I agree.")
NAME = "shop.OrderSummaries"
Status = ActionRequest.Status


class Look(Action, frozen=True, kw_only=True):
    """A long one that finds something."""

    name = "look"
    is_long = True
    is_harmless = True
    what: str

    def target(self) -> str:
        return f"thing {self.what}"

    def run(self, by: By) -> Done:
        if self.what == "bad":
            raise ValueError("too bad")
        return Done("Looked.", {"found": self.what})


@pytest.fixture
def four_eyes(settings: Any) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": ["pause", "look"]}


def test_done_action_leaves_who_why_and_what() -> None:
    performed = perform(Pause(subscription=NAME), ANNA)
    assert subscription_row(NAME).status == Subscription.Status.PAUSED
    record = OperatorAction.objects.get()
    assert performed.is_done and performed.record == record
    assert (record.action, record.target) == ("pause", f"subscription {NAME}")
    assert (record.operator, record.reason) == ANNA
    assert record.parameters == {"subscription": NAME}
    assert record.result == performed.text


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_reason_is_demanded(reason: str) -> None:
    with pytest.raises(ReasonMissing, match="reason for 'pause'"):
        perform(Pause(subscription=NAME), By("anna", reason))
    assert subscription_row(NAME).status == Subscription.Status.ACTIVE
    assert not OperatorAction.objects.exists()


def test_form_sent_twice_acts_once() -> None:
    token = uuid4()
    first = perform(Pause(subscription=NAME), ANNA, token=token)
    resume(NAME)
    second = perform(Pause(subscription=NAME), ANNA, token=token)
    assert first.is_new and not second.is_new
    assert second.record == first.record
    assert subscription_row(NAME).status == Subscription.Status.ACTIVE


def test_form_sent_twice_asks_once(four_eyes: None) -> None:
    token = uuid4()
    asked = [perform(Pause(subscription=NAME), ANNA, token=token).request for _ in range(2)]
    assert asked[0] == asked[1]
    assert ActionRequest.objects.count() == 1


def test_what_changed_since_it_was_seen_is_refused_with_what_changed() -> None:
    seen = Pause(subscription=NAME).state()
    pause(NAME)
    with pytest.raises(ChangedMeanwhile, match="status was active and is paused") as caught:
        perform(Pause(subscription=NAME), ANNA, seen=seen)
    assert caught.value.differences == {"status": ("active", "paused")}
    assert not OperatorAction.objects.exists()


def test_unknown_target_is_refused() -> None:
    with pytest.raises(Exception, match="No subscription 'gone'"):
        perform(Pause(subscription="gone"), ANNA)


def test_actions_are_read_by_name() -> None:
    assert {"pause", "resume"} <= set(action_names())
    assert read_action("pause", {"subscription": NAME}) == Pause(subscription=NAME)
    assert action_class("resume") is Resume
    with pytest.raises(UnknownAction, match="No action 'blow-up'"):
        read_action("blow-up", {})
    with pytest.raises(UnknownAction, match="does not take this"):
        read_action("pause", {"subscription": NAME, "else": "1"})
    for given in ({"subscription": "a\0b"}, {"subscription": NAME, "streams": ["a", "b\0"]}):
        with pytest.raises(UnknownAction, match="NUL"):
            read_action("dry-run", given)


def test_second_person_approves(four_eyes: None) -> None:
    performed = perform(Pause(subscription=NAME), ANNA)
    assert not performed.is_done and "somebody else" in performed.text
    assert subscription_row(NAME).status == Subscription.Status.ACTIVE
    [request] = requests_waiting()
    with pytest.raises(NotApprovable, match="your own"):
        approve(request.pk, By("anna", "Sure."))
    done = approve(request.pk, BEN)
    assert (done.status, done.decided_by, done.decision) == (Status.DONE, *BEN)
    assert subscription_row(NAME).status == Subscription.Status.PAUSED
    told = OperatorAction.objects.order_by("id").values_list("action", "operator")
    assert list(told) == [("pause", "anna"), ("approve request", "ben")]
    with pytest.raises(NotApprovable, match="decided already by ben"):
        approve(request.pk, By("cleo", "Me too."))


def test_refused_and_withdrawn_requests_do_nothing(four_eyes: None) -> None:
    first, second = (perform(Pause(subscription=NAME), ANNA).request for _ in range(2))
    assert first is not None and second is not None
    assert refuse(first.pk, BEN).status == Status.REFUSED
    with pytest.raises(NotApprovable, match="anna's"):
        withdraw(second.pk, BEN)
    assert withdraw(second.pk, ANNA).status == Status.WITHDRAWN
    with pytest.raises(NotApprovable):
        approve(first.pk, BEN)
    assert subscription_row(NAME).status == Subscription.Status.ACTIVE


def test_approved_only_as_it_was_seen(four_eyes: None) -> None:
    request = perform(Pause(subscription=NAME), ANNA).request
    assert request is not None
    pause(NAME)
    with pytest.raises(ChangedMeanwhile):
        approve(request.pk, BEN)
    request.refresh_from_db()
    assert request.status == Status.WAITING


def test_long_action_is_done_by_a_worker() -> None:
    request = perform(Look(what="shoe"), ANNA).request
    assert request is not None and request.status == Status.QUEUED
    assert drain().requests == 1
    request.refresh_from_db()
    assert (request.status, request.result) == (Status.DONE, "Looked.")
    assert request.document == {"found": "shoe"}
    assert OperatorAction.objects.get().action == "look"


def test_looking_needs_no_second_person(four_eyes: None) -> None:
    request = perform(Look(what="shoe"), ANNA).request
    assert request is not None and request.status == Status.QUEUED


def test_failed_request_says_why() -> None:
    request = perform(Look(what="bad"), ANNA).request
    assert request is not None
    drain()
    request.refresh_from_db()
    assert (request.status, request.error) == (Status.FAILED, "ValueError: too bad")


def test_request_that_kills_its_workers_is_given_up() -> None:
    request = perform(Look(what="shoe"), ANNA).request
    assert request is not None
    ActionRequest.objects.update(status=Status.RUNNING, attempts=3)
    drain()
    request.refresh_from_db()
    assert request.status == Status.FAILED
    assert "died" in request.error


def test_command_line_acts_through_the_same_door(
    four_eyes: None, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("whizbang", "pause", NAME, reason="The mail server is down.")
    assert "somebody else" in capsys.readouterr().out
    [request] = requests_waiting()
    assert request.reason == "The mail server is down."
    assert request.requested_by.startswith("command line")
    call_command("whizbang", "requests", "--json")
    assert json.loads(capsys.readouterr().out)["parameters"] == {"subscription": NAME}
    with pytest.raises(CommandError, match="your own"):
        call_command("whizbang", "approve", str(request.pk))
    call_command("whizbang", "withdraw", str(request.pk), reason="It is up again.")
    assert "withdrawn" in capsys.readouterr().out


def test_dry_run_tells_and_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("whizbang", "pause", NAME, "--dry-run")
    assert "within a second" in capsys.readouterr().out
    assert subscription_row(NAME).status == Subscription.Status.ACTIVE


def test_long_action_is_done_at_once_where_there_is_time() -> None:
    performed = perform(Look(what="shoe"), ANNA, is_here=True)
    assert performed.is_done and performed.done is not None
    assert performed.done.document == {"found": "shoe"}
    assert not ActionRequest.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_worker_does_requests_beside_its_other_work() -> None:
    request = perform(Look(what="shoe"), ANNA).request
    assert request is not None
    part = RequestsPart(event_store(), "worker", in_thread=True)
    done = 0

    def is_done() -> bool:
        nonlocal done
        done += part.run_once()
        return done == 1

    wait_until(is_done)
    part.close()
    request.refresh_from_db()
    assert (request.status, request.document) == (Status.DONE, {"found": "shoe"})
