"""Deciding about dead letters in the console: groups, discarding, editing a copy."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

import whizbang
from tests.admin.clients import EVIL, user_with
from tests.shop.messages import NOON, OpenOrder
from tests.shop.models import OrderSummary
from whizbang.models import DeadLetter, InboxMessage, OperatorAction
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
LIST = "admin:whizbang_deadletter_changelist"
DISCARD = "admin:whizbang_deadletter_discard"
ALL = ("view_deadletter", "redrive_deadletter", "discard_deadletter", "edit_deadletter")


@pytest.fixture
def letter() -> DeadLetter:
    """A command that cannot succeed, which holds an ordering key."""
    whizbang.send(OpenOrder(order_id="1"))
    whizbang.publish(OpenOrder(order_id="1", customer_id=EVIL), ordering_key="k-1")
    drain()
    return DeadLetter.objects.get()


def bury(type: str = "shop.NoteOrder", reason: str = "Boom", **known: Any) -> DeadLetter:
    own = {"payload": b"{}", "metadata": b"{}", "error": "boom", "attempts": 1, **known}
    return DeadLetter.objects.create(
        message_id=uuid4(), type=type, reason=reason, occurred_at=NOON, **own
    )


def edit_url(letter: DeadLetter) -> str:
    return reverse("admin:whizbang_deadletter_edit", args=[letter.pk])


def discard_url(*letters: DeadLetter) -> str:
    return f"{reverse(DISCARD)}?" + "&".join(f"id={letter.pk}" for letter in letters)


# Groups


def test_groups_come_first_and_lead_to_their_letters() -> None:
    wanted = [bury(type=f"shop.{EVIL}"), bury(type=f"shop.{EVIL}")]
    other = bury()
    client = user_with("view_deadletter")
    page = client.get(reverse(LIST)).text
    assert EVIL not in page and str(other.message_id) not in page
    links = re.findall(r'<a href="([^"]+type__exact[^"]+)"', page)
    assert len(links) == 4
    listed = client.get(links[0].replace("&amp;", "&")).text
    assert all(str(letter.message_id) in listed for letter in wanted)
    assert str(other.message_id) not in listed
    assert "Only those with" in listed and EVIL not in listed
    assert str(other.message_id) in client.get(reverse(LIST), {"all": 1}).text
    assert "Redrive" not in page and "Redrive all of them" not in listed


def test_no_groups_are_said() -> None:
    assert "No dead letters." in user_with("view_deadletter").get(reverse(LIST)).text


def test_group_without_a_type_leads_to_its_letters_and_not_to_all() -> None:
    malformed, other = bury(type="", reason="Malformed"), bury()
    client = user_with(*ALL)
    page = client.get(reverse(LIST)).text
    [link] = set(re.findall(r'<a href="([^"]+type__exact=&amp;[^"]+)"', page))
    listed = client.get(link.replace("&amp;", "&")).text
    assert str(malformed.message_id) in listed and str(other.message_id) not in listed
    assert "reason=Malformed" not in page


# Discarding


@pytest.mark.parametrize(
    "permissions", [("view_deadletter", "redrive_deadletter"), ("discard_deadletter",)]
)
def test_discard_without_its_permissions_is_refused(
    permissions: tuple[str, ...], letter: DeadLetter
) -> None:
    client = user_with(*permissions)
    chosen = {"action": "discard", "_selected_action": [letter.pk]}
    assert client.post(reverse(LIST), chosen).status_code == 403
    assert client.get(discard_url(letter)).status_code == 403
    assert client.post(discard_url(letter), {"reason": "mine"}).status_code == 403
    assert DeadLetter.objects.exists() and not OperatorAction.objects.exists()


def test_discard_asks_first_with_what_is_lost_and_what_goes_on(letter: DeadLetter) -> None:
    client = user_with("view_deadletter", "discard_deadletter")
    answer = client.post(reverse(LIST), {"action": "discard", "_selected_action": [letter.pk]})
    assert answer.headers["Location"] == discard_url(letter)
    page = client.get(discard_url(letter)).text
    for shown in ("cannot be undone", "holds ordering key k-1", str(letter.message_id)):
        assert shown in page
    assert "&lt;script&gt;" in page and EVIL not in page
    assert "Say why" in client.post(discard_url(letter), {"reason": ""}).text
    assert DeadLetter.objects.exists()


def test_discard_is_logged_twice_and_frees_the_key(letter: DeadLetter) -> None:
    client = user_with("view_deadletter", "discard_deadletter")
    page = client.post(discard_url(letter), {"reason": "a test"}, follow=True).text
    assert "1 message is discarded." in page
    entry, action = LogEntry.objects.get(), OperatorAction.objects.get()
    assert (entry.object_id, entry.change_message) == (str(letter.pk), "Discarded: a test")
    assert (action.operator, action.reason) == (entry.user.username, "a test")
    assert InboxMessage.objects.get(message_id=letter.message_id).ordering_key is None
    assert (
        f"Dead letter {letter.pk} is gone"
        in client.post(discard_url(letter), {"reason": "again"}, follow=True).text
    )
    assert LogEntry.objects.count() == 1


def test_letter_of_a_broker_needs_no_row_in_the_inbox() -> None:
    received = bury(document=b"{}")
    page = user_with(*ALL).get(f"{reverse('admin:whizbang_deadletter_redrive')}?id={received.pk}")
    assert "cannot be redriven" not in page.text


# Editing


def test_edit_without_its_permissions_is_refused(letter: DeadLetter) -> None:
    for permissions in (("view_deadletter", "redrive_deadletter"), ("edit_deadletter",)):
        client = user_with(*permissions)
        assert client.get(edit_url(letter)).status_code == 403
        assert client.post(edit_url(letter), {"confirmed": 1}).status_code == 403
    assert Client().get(edit_url(letter)).status_code == 302


def test_edited_copy_is_shown_as_a_difference_before_it_goes(letter: DeadLetter) -> None:
    client = user_with("view_deadletter", "edit_deadletter")
    form = client.get(edit_url(letter)).text
    assert "&quot;order_id&quot;: &quot;1&quot;" in form and EVIL not in form
    given = {"payload": json.dumps({"order_id": "2", "customer_id": EVIL}), "reason": "mended"}
    asked = client.post(edit_url(letter), given).text
    assert "- " in asked and "+   &quot;order_id&quot;: &quot;2&quot;," in asked
    assert EVIL not in asked and 'name="confirmed"' in asked
    assert DeadLetter.objects.exists() and not OperatorAction.objects.exists()
    again = client.post(edit_url(letter), {**given, "again": "1"}).text
    assert 'name="confirmed"' not in again and "<textarea" in again
    page = client.post(edit_url(letter), {**given, "confirmed": "1"}, follow=True).text
    assert "The edited message goes on again." in page
    drain()
    assert OrderSummary.objects.filter(order_id="2").exists()
    action = OperatorAction.objects.get()
    assert (action.action, action.reason) == ("edit", "mended")
    assert all("mended" in e.change_message for e in LogEntry.objects.all())
    assert LogEntry.objects.count() == 2
    assert "are gone" in client.get(edit_url(letter), follow=True).text


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


def test_page_of_a_letter_leads_to_what_is_allowed(letter: DeadLetter) -> None:
    url = reverse("admin:whizbang_deadletter_change", args=[letter.pk])
    page = user_with(*ALL).get(url).text
    assert edit_url(letter) in page and discard_url(letter) in page
    page = user_with("view_deadletter").get(url).text
    assert edit_url(letter) not in page and discard_url(letter) not in page


def test_original_of_an_edit_is_for_who_may_see_letters(letter: DeadLetter) -> None:
    client = user_with("view_deadletter", "edit_deadletter")
    given = {"payload": '{"order_id": "2"}', "reason": "mended", "confirmed": "1"}
    client.post(edit_url(letter), given)
    url = reverse("admin:whizbang_operatoraction_change", args=[OperatorAction.objects.get().pk])
    page = user_with("view_operatoraction", "view_deadletter").get(url).text
    assert "&lt;script&gt;" in page and EVIL not in page
    page = user_with("view_operatoraction").get(url).text
    assert "mended" in page and "&lt;script&gt;" not in page
