"""Dead letters: looking at one, and redriving it from the console."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

import whizbang
from tests.admin.clients import EVIL, user_with
from tests.shop.messages import NOON, OpenOrder
from tests.shop.models import OrderSummary
from whizbang.models import DeadLetter, InboxMessage
from whizbang.testing import drain
from whizbang_admin.messages import shown_letters

pytestmark = pytest.mark.django_db
LIST = "admin:whizbang_deadletter_changelist"
PAGE = "admin:whizbang_deadletter_redrive"
ALL = ("view_deadletter", "redrive_deadletter")


@pytest.fixture
def letter() -> DeadLetter:
    """A command that was given up, and would succeed now."""
    whizbang.send(OpenOrder(order_id="1"))
    whizbang.publish(OpenOrder(order_id="1", customer_id=EVIL))
    drain()
    letter = DeadLetter.objects.get()
    DeadLetter.objects.update(payload=letter.payload.replace(b'"1"', b'"2"'))
    return letter


def page_for(*letters: Any) -> str:
    ids = "&".join(f"id={getattr(letter, 'pk', letter)}" for letter in letters)
    return f"{reverse(PAGE)}?{ids}"


def choose(client: Client, letter: DeadLetter) -> Any:
    return client.post(reverse(LIST), {"action": "redrive", "_selected_action": [letter.pk]})


@pytest.mark.parametrize(
    "permissions",
    [("view_deadletter",), ("view_deadletter", "retry_parkedstream"), ("redrive_deadletter",)],
)
def test_redrive_without_its_permissions_is_refused(
    permissions: tuple[str, ...], letter: DeadLetter
) -> None:
    client = user_with(*permissions)
    assert choose(client, letter).status_code == 403
    assert client.get(page_for(letter)).status_code == 403
    assert client.post(page_for(letter), {"reason": "mine"}).status_code == 403
    assert DeadLetter.objects.exists()
    assert not LogEntry.objects.exists()


def test_redrive_needs_a_login_and_a_csrf_token(letter: DeadLetter) -> None:
    assert Client().post(page_for(letter), {"reason": "x"}).status_code == 302
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    assert client.post(page_for(letter), {"reason": "x"}).status_code == 403
    assert DeadLetter.objects.exists()


def test_action_leads_to_a_page_that_shows_what_will_run(letter: DeadLetter) -> None:
    client = user_with(*ALL)
    answer = choose(client, letter)
    assert answer.headers["Location"] == page_for(letter)
    page = client.get(page_for(letter)).text
    row = InboxMessage.objects.get(message_id=letter.message_id)
    for shown in ("shop.OpenOrder", str(letter.message_id), f"row {row.pk} (failed)"):
        assert shown in page
    assert "&quot;order_id&quot;: &quot;2&quot;" in page
    assert "&lt;script&gt;" in page
    assert EVIL not in page
    assert DeadLetter.objects.exists()


def test_redrive_puts_the_message_back_and_is_logged(letter: DeadLetter) -> None:
    client = user_with(*ALL)
    answer = client.post(page_for(letter), {"reason": "mended by 4711"}, follow=True)
    assert "1 message goes on again." in answer.text
    assert not DeadLetter.objects.exists()
    row = InboxMessage.objects.get(message_id=letter.message_id)
    user = User.objects.latest("id")
    logged = {(e.content_type.model, e.object_id, e.user) for e in LogEntry.objects.all()}
    assert logged == {
        ("deadletter", str(letter.pk), user),
        ("inboxmessage", str(row.pk), user),
    }
    assert all("mended by 4711" in entry.change_message for entry in LogEntry.objects.all())
    drain()
    assert OrderSummary.objects.filter(order_id="2").exists()
    history = reverse("admin:whizbang_inboxmessage_history", args=[row.pk])
    assert "mended by 4711" in user_with("view_inboxmessage").get(history).text


def test_missing_reason_is_said_and_nothing_is_done(letter: DeadLetter) -> None:
    page = user_with(*ALL).post(page_for(letter), {"reason": " "})
    assert "Reason: Say why" in page.text
    assert str(letter.message_id) in page.text
    assert DeadLetter.objects.exists()


def test_second_redrive_of_the_same_letter_is_reported(letter: DeadLetter) -> None:
    client = user_with(*ALL)
    client.post(page_for(letter), {"reason": "first"}, follow=True)
    again = client.post(page_for(letter), {"reason": "second"}, follow=True)
    assert f"Dead letter {letter.pk} is gone" in again.text
    assert "is in the inbox again" not in again.text
    assert LogEntry.objects.count() == 2
    assert "These dead letters are gone." in client.get(page_for(letter), follow=True).text


def test_letter_whose_inbox_row_is_gone_is_told_beforehand_and_kept(letter: DeadLetter) -> None:
    InboxMessage.objects.filter(message_id=letter.message_id).delete()
    client = user_with(*ALL)
    assert "publish the message anew" in client.get(page_for(letter)).text
    answer = client.post(page_for(letter), {"reason": "x"}, follow=True)
    assert "was cleaned up" in answer.text
    assert DeadLetter.objects.exists()
    assert not LogEntry.objects.exists()


def test_long_payload_is_cut(letter: DeadLetter) -> None:
    DeadLetter.objects.update(payload=b'{"text": "' + b"x" * 5_000_000 + b'the end"}')
    page = user_with(*ALL).get(page_for(letter)).text
    assert "There is more" in page
    assert len(page) < 50_000
    detail = user_with(*ALL).get(reverse("admin:whizbang_deadletter_change", args=[letter.pk])).text
    assert "there is more" in detail
    assert len(detail) < 100_000


def test_payload_that_cannot_be_read_is_shown_as_it_is(letter: DeadLetter) -> None:
    DeadLetter.objects.update(payload=b"<b>\xff")
    for url in (page_for(letter), reverse("admin:whizbang_deadletter_change", args=[letter.pk])):
        page = user_with(*ALL).get(url).text
        assert "This cannot be read" in page
        assert "<b>" not in page


def test_page_of_a_letter_leads_to_its_redrive_where_that_is_allowed(letter: DeadLetter) -> None:
    url = reverse("admin:whizbang_deadletter_change", args=[letter.pk])
    assert page_for(letter) in user_with(*ALL).get(url).text
    page = user_with("view_deadletter").get(url).text
    assert reverse(PAGE) not in page
    assert "&quot;order_id&quot;: &quot;2&quot;" in page


@pytest.mark.parametrize("query", ["", "?id=", "?id=x", "?id=-1", "?id=²", f"?id={2**63}"])
def test_redrive_of_what_is_no_number_is_not_found(query: str) -> None:
    assert user_with(*ALL).get(reverse(PAGE) + query).status_code == 404


def test_all_of_a_long_list_means_as_many_as_a_page_can_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shown_letters, "MOST_AT_ONCE", 2)
    for _ in range(3):
        DeadLetter.objects.create(
            message_id=uuid4(),
            type="shop.NoteOrder",
            occurred_at=NOON,
            attempts=1,
            payload=b"{}",
            metadata=b"{}",
            reason="boom",
            error="boom",
        )
    client = user_with(*ALL)
    data = {"action": "redrive", "select_across": "1", "_selected_action": ["1"]}
    answer = client.post(reverse(LIST), data, follow=True)
    assert "Redrive 2 dead letters" in answer.text
    assert client.get(page_for(1, 2, 3)).status_code == 404
