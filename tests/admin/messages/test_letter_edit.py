"""Editing a copy of a dead letter in the console."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

import whizbang
from tests.admin.clients import EVIL, user_with
from tests.admin.messages.pages import bury, sent_form
from tests.shop.messages import OpenOrder
from tests.shop.models import OrderSummary
from whizbang.models import ActionRequest, DeadLetter, OperatorAction
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
ALL = ("view_deadletter", "redrive_deadletter", "discard_deadletter", "edit_deadletter")


@pytest.fixture
def letter() -> DeadLetter:
    """A command that cannot succeed, which holds an ordering key."""
    whizbang.send(OpenOrder(order_id="1"))
    whizbang.publish(OpenOrder(order_id="1", customer_id=EVIL), ordering_key="k-1")
    drain()
    return DeadLetter.objects.get()


def edit_url(letter: DeadLetter) -> str:
    return reverse("admin:whizbang_deadletter_edit", args=[letter.pk])


def test_edit_without_its_permissions_is_refused(letter: DeadLetter) -> None:
    for permissions in (("view_deadletter", "redrive_deadletter"), ("edit_deadletter",)):
        client = user_with(*permissions)
        assert client.get(edit_url(letter)).status_code == 403
        assert client.post(edit_url(letter), {"confirmed": 1}).status_code == 403
    assert Client().get(edit_url(letter)).status_code == 302


def asked(client: Client, letter: DeadLetter) -> dict[str, str]:
    """The form that asks, with an edit that succeeds."""
    given = {"payload": json.dumps({"order_id": "2", "customer_id": EVIL}), "reason": "mended"}
    page = client.post(edit_url(letter), given)
    return sent_form(page.text, confirmed="1", **given)


def test_edited_copy_is_shown_as_a_difference_before_it_goes(letter: DeadLetter) -> None:
    client = user_with("view_deadletter", "edit_deadletter")
    form = client.get(edit_url(letter)).text
    assert "&quot;order_id&quot;: &quot;1&quot;" in form and EVIL not in form
    given = {"payload": json.dumps({"order_id": "2", "customer_id": EVIL}), "reason": "mended"}
    shown = client.post(edit_url(letter), given).text
    assert "- " in shown and "+   &quot;order_id&quot;: &quot;2&quot;," in shown
    assert EVIL not in shown and 'name="confirmed"' in shown
    again = client.post(edit_url(letter), {**given, "again": "1"}).text
    assert 'name="confirmed"' not in again and "<textarea" in again
    unseen = client.post(edit_url(letter), {**given, "confirmed": "1"}).text
    assert 'name="confirmed"' in unseen  # nobody has seen what this would do
    assert DeadLetter.objects.exists() and not OperatorAction.objects.exists()
    page = client.post(edit_url(letter), asked(client, letter), follow=True).text
    assert "The edited message goes on again." in page
    drain()
    assert OrderSummary.objects.filter(order_id="2").exists()
    action, entry = OperatorAction.objects.get(), LogEntry.objects.get()
    assert (action.action, action.reason) == ("edit", "mended")
    assert (entry.object_id, "mended" in entry.change_message) == (str(letter.pk), True)
    assert "is gone" in client.get(edit_url(letter), follow=True).text


def test_edit_needs_a_csrf_token(letter: DeadLetter) -> None:
    client, strict = user_with(*ALL), Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(edit_url(letter), asked(client, letter)).status_code == 403
    assert DeadLetter.objects.exists()


def test_double_click_edits_once(letter: DeadLetter) -> None:
    client = user_with(*ALL)
    form = asked(client, letter)
    for _ in range(2):
        assert client.post(edit_url(letter), form).status_code == 302
    assert OperatorAction.objects.count() == LogEntry.objects.count() == 1


def test_letter_that_died_again_meanwhile_is_shown_anew(letter: DeadLetter) -> None:
    client = user_with(*ALL)
    form = asked(client, letter)
    DeadLetter.objects.update(attempts=7)
    answer = client.post(edit_url(letter), form)
    assert answer.status_code == 409 and "7 attempts" in answer.text
    form = sent_form(answer.text, confirmed="1", payload=form["payload"], reason="anyway")
    assert client.post(edit_url(letter), form).status_code == 302


@pytest.mark.parametrize("word", ["edit", "edit-letter"])
def test_two_people_edit_where_settings_say_so(
    letter: DeadLetter, settings: Any, word: str
) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": [word]}
    anna = user_with(*ALL)
    form = asked(anna, letter)
    anna.post(edit_url(letter), form)
    request = ActionRequest.objects.get()
    assert DeadLetter.objects.exists() and request.parameters["payload"]["order_id"] == "2"
    decide = reverse("admin:whizbang_actionrequest_decide", args=[request.pk])
    ben = user_with("edit_deadletter", "approve_actionrequest", "view_actionrequest")
    page = ben.get(decide).text
    assert "fields that change</th><td>order_id</td>" in page
    assert "&lt;script&gt;" not in page  # payloads are for those who may see letters
    carl = user_with(*ALL, "approve_actionrequest", "view_actionrequest")
    assert "&lt;script&gt;" in carl.get(decide).text
    carl.post(decide, {"decision": "approve", "reason": "Yes."})
    drain()
    assert OrderSummary.objects.filter(order_id="2").exists()
    request.refresh_from_db()
    assert "payload" not in request.parameters


def test_nobody_approves_a_payload_that_they_may_not_see(letter: DeadLetter) -> None:
    DeadLetter.objects.update(type="shop.Gone")  # of which every field may be personal
    request = ActionRequest.objects.create(
        action="edit-letter", target=f"dead letter {letter.pk}", status="waiting", seen={},
        parameters={"letter": letter.pk, "payload": {"x": "secret"}}, requested_by="anna",
    )  # fmt: skip
    decide = reverse("admin:whizbang_actionrequest_decide", args=[request.pk])
    may = (*ALL, "approve_actionrequest", "view_actionrequest")
    hidden = user_with(*may).get(decide).text
    assert "secret" not in hidden and 'value="approve"' not in hidden and 'value="refuse"' in hidden
    whole = user_with(*may, "view_personal_data").get(decide).text
    assert "secret" in whole and 'value="approve"' in whole


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ("{", "This is no JSON"),
        ("[" * 100_000, "This is no JSON"),
        ("[]", "give an object"),
        ('{"order_id": "1", "x": 1}', "has no field x"),
        ('{"order_id": 1}', "order_id"),
    ],
)
def test_what_is_no_payload_is_said_and_nothing_is_done(
    letter: DeadLetter, payload: str, problem: str
) -> None:
    client = user_with("view_deadletter", "edit_deadletter")
    given = {"payload": payload, "reason": "mended", "confirmed": "1"}
    page = client.post(edit_url(letter), given)
    assert problem in page.text and page.status_code == 200
    assert DeadLetter.objects.exists() and not LogEntry.objects.exists()


def test_what_is_no_command_is_not_edited() -> None:
    client = user_with("view_deadletter", "edit_deadletter")
    page = client.get(edit_url(bury(type="shop.Gone")), follow=True).text
    assert "only commands are edited" in page


def test_original_of_an_edit_is_for_who_may_see_letters(letter: DeadLetter) -> None:
    client = user_with("view_deadletter", "edit_deadletter")
    client.post(edit_url(letter), asked(client, letter))
    url = reverse("admin:whizbang_operatoraction_change", args=[OperatorAction.objects.get().pk])
    page = user_with("view_operatoraction", "view_deadletter").get(url).text
    assert "&lt;script&gt;" in page and EVIL not in page
    page = user_with("view_operatoraction").get(url).text
    assert "mended" in page and "&lt;script&gt;" not in page
