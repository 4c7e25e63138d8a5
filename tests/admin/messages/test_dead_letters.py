"""Dead letters: groups, one letter, and redriving and discarding them from the console."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

import whizbang
from tests.admin.clients import EVIL, user_with
from tests.admin.messages.pages import bury, confirm, page_of, sent_form
from tests.shop.messages import OpenOrder
from tests.shop.models import OrderSummary
from whizbang.models import ActionRequest, DeadLetter, InboxMessage, OperatorAction, Redrive
from whizbang.testing import drain
from whizbang_admin.messages import shown_letters

pytestmark = pytest.mark.django_db
LIST = "admin:whizbang_deadletter_changelist"
ALL = ("view_deadletter", "redrive_deadletter", "discard_deadletter", "edit_deadletter")
DECIDE = {"redrive": "redrive_deadletter", "discard": "discard_deadletter"}


@pytest.fixture
def letter() -> DeadLetter:
    """A command that was given up, would succeed now, and holds an ordering key."""
    whizbang.send(OpenOrder(order_id="1"))
    whizbang.publish(OpenOrder(order_id="1", customer_id=EVIL), ordering_key="k-1")
    drain()
    letter = DeadLetter.objects.get()
    DeadLetter.objects.update(payload=letter.payload.replace(b'"1"', b'"2"'))
    return letter


def choose(client: Client, letter: DeadLetter, action: str) -> Any:
    return client.post(reverse(LIST), {"action": action, "_selected_action": [letter.pk]})


def letter_url(letter: DeadLetter) -> str:
    return reverse("admin:whizbang_deadletter_change", args=[letter.pk])


# Groups


def test_groups_come_first_and_lead_to_their_letters() -> None:
    wanted = [bury(type=f"shop.{EVIL}", reason=EVIL), bury(type=f"shop.{EVIL}", reason=EVIL)]
    other = bury()
    client = user_with("view_deadletter")
    page = client.get(reverse(LIST)).text
    assert EVIL not in page and str(other.message_id) not in page
    links = re.findall(r'<a href="([^"]+type__exact[^"]+)"', page)
    assert len(links) == 4
    listed = client.get(html.unescape(links[0])).text
    assert all(str(letter.message_id) in listed for letter in wanted)
    assert str(other.message_id) not in listed
    assert "Only those with" in listed and EVIL not in listed
    assert str(other.message_id) in client.get(reverse(LIST), {"all": 1}).text
    assert "/do/redrive/" not in page + listed and "/do/discard/" not in page + listed


def test_group_can_be_redriven_and_discarded_as_a_whole() -> None:
    bury()
    for page in (
        user_with(*ALL).get(reverse(LIST)).text,
        user_with(*ALL).get(reverse(LIST), {"reason__exact": "Boom"}).text,
    ):
        links = [html.unescape(link) for link in re.findall(r'href="([^"]+/do/[^"]+)"', page)]
        assert any("/do/redrive/" in link and "cause=Boom" in link for link in links)
        assert any("/do/discard/" in link and "until=" in link for link in links)


def test_no_groups_are_said() -> None:
    assert "No dead letters." in user_with(*ALL).get(reverse(LIST)).text


def test_group_without_a_type_leads_to_its_letters_and_not_to_all() -> None:
    malformed, other = bury(type="", reason="Malformed"), bury()
    client = user_with(*ALL)
    page = client.get(reverse(LIST)).text
    [link] = set(re.findall(r'<a href="([^"]+type__exact=&amp;[^"]+)"', page))
    listed = client.get(html.unescape(link)).text
    assert str(malformed.message_id) in listed and str(other.message_id) not in listed
    assert "cause=Malformed" not in page


# One letter


def test_page_of_a_letter_says_what_happened(letter: DeadLetter) -> None:
    OperatorAction.objects.create(
        action="edit", target="elsewhere", message_id=letter.message_id, reason=EVIL, parameters={}
    )
    client = user_with("view_deadletter", "view_operatoraction", "view_inboxmessage")
    page = client.get(letter_url(letter)).text
    row = InboxMessage.objects.get(message_id=letter.message_id)
    shown = ("OrderOpenAlready", "Traceback", "k-1", "&quot;order_id&quot;: &quot;2&quot;")
    for text in (*shown, reverse("admin:whizbang_inboxmessage_change", args=[row.pk])):
        assert text in page
    assert "What operators did" in page
    assert EVIL not in page and "&lt;script&gt;" in page
    assert "/do/" not in page


def test_page_of_a_letter_leads_to_what_is_allowed(letter: DeadLetter) -> None:
    page = user_with(*ALL).get(letter_url(letter)).text
    edit = reverse("admin:whizbang_deadletter_edit", args=[letter.pk])
    for link in ("/do/redrive/", "/do/discard/", edit):
        assert link in page
    page = user_with("view_deadletter").get(letter_url(letter)).text
    for link in ("/do/redrive/", "/do/discard/", edit):
        assert link not in page


def test_page_of_a_letter_leads_to_all_that_belongs_to_it(letter: DeadLetter) -> None:
    trace = "/admin/whizbang/stream/trace/"
    assert trace not in user_with("view_deadletter").get(letter_url(letter)).text
    client = user_with("view_deadletter", "view_stream")
    (url,) = re.findall(rf'href="({trace}[^"]+)"', client.get(letter_url(letter)).text)
    assert client.get(url).status_code == 200

    DeadLetter.objects.update(metadata=b"{")
    assert trace not in client.get(letter_url(letter)).text


def test_page_of_a_letter_needs_its_permission(letter: DeadLetter) -> None:
    assert Client().get(letter_url(letter)).status_code == 302
    assert user_with("redrive_deadletter").get(letter_url(letter)).status_code == 403
    assert user_with("view_deadletter").get(letter_url(letter)).status_code == 200


@pytest.mark.parametrize("key", ["0", "x", str(2**70)])
def test_letter_that_is_gone_is_said(key: str) -> None:
    url = reverse("admin:whizbang_deadletter_change", args=[key])
    assert "is gone" in user_with("view_deadletter").get(url, follow=True).text


def test_long_payload_is_cut(letter: DeadLetter) -> None:
    DeadLetter.objects.update(payload=b'{"text": "' + b"x" * 5_000_000 + b'the end"}')
    page = user_with(*ALL).get(letter_url(letter)).text
    assert "There is more" in page
    assert len(page) < 100_000


def test_payload_that_cannot_be_read_is_shown_as_it_is(letter: DeadLetter) -> None:
    DeadLetter.objects.update(payload=b"<b>\xff")
    page = user_with(*ALL).get(letter_url(letter)).text
    assert "This cannot be read" in page
    assert "<b>" not in page


# Deciding


@pytest.mark.parametrize("action", DECIDE)
def test_decision_without_its_permission_is_refused(letter: DeadLetter, action: str) -> None:
    others = [name for name in ALL if name != DECIDE[action]]
    client, url = user_with(*others), page_of(action, ids=letter.pk)
    assert choose(client, letter, action).status_code == 403
    assert client.get(url).status_code == 403
    assert client.post(url, {"reason": "mine"}).status_code == 403
    assert Client().get(url).status_code == 302
    assert DeadLetter.objects.exists()
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("action", DECIDE)
def test_decision_needs_a_csrf_token(letter: DeadLetter, action: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    url = page_of(action, ids=letter.pk)
    assert client.post(url, sent_form(client.get(url).text, reason="x")).status_code == 403
    assert DeadLetter.objects.exists()


@pytest.mark.parametrize("action", DECIDE)
def test_selected_letters_lead_to_the_page_that_asks(letter: DeadLetter, action: str) -> None:
    other = bury(type=EVIL, reason=EVIL)
    client = user_with(*ALL)
    chosen = {"action": action, "_selected_action": [letter.pk, other.pk]}
    answer = client.post(reverse(LIST), chosen)
    assert f"/do/{action}/" in answer.headers["Location"]
    page = client.get(answer.headers["Location"]).text
    assert str(letter.message_id) in page and str(other.message_id) in page
    assert EVIL not in page
    assert DeadLetter.objects.count() == 2


def test_page_says_which_keys_go_on_and_what_cannot_go_back(letter: DeadLetter) -> None:
    client = user_with(*ALL)
    assert "k-1" in client.get(page_of("discard", ids=letter.pk)).text
    assert "cannot go back" not in client.get(page_of("redrive", ids=letter.pk)).text
    InboxMessage.objects.filter(message_id=letter.message_id).delete()
    url = page_of("redrive", ids=letter.pk)
    assert "cannot go back" in client.get(url).text
    assert "was cleaned up" in confirm(client, url).text
    assert DeadLetter.objects.exists() and not LogEntry.objects.exists()


def test_redrive_puts_the_message_back_and_is_logged(letter: DeadLetter) -> None:
    client = user_with(*ALL)
    page = confirm(client, page_of("redrive", ids=letter.pk, back=reverse(LIST)), "by 4711")
    assert "is in the inbox again." in page.text
    assert not DeadLetter.objects.exists()
    record, entry = OperatorAction.objects.get(), LogEntry.objects.get()
    assert (record.action, record.target) == ("redrive", f"dead letter {letter.pk}")
    assert (record.operator, record.reason) == (entry.user.username, "by 4711")
    assert (entry.object_id, entry.object_repr) == (str(letter.pk), f"dead letter {letter.pk}")
    drain()
    assert OrderSummary.objects.filter(order_id="2").exists()
    row = InboxMessage.objects.get(message_id=letter.message_id)
    url = reverse("admin:whizbang_inboxmessage_change", args=[row.pk])
    assert "by 4711" in user_with("view_inboxmessage", "view_operatoraction").get(url).text


def test_discard_frees_the_key_and_is_logged(letter: DeadLetter) -> None:
    client = user_with("view_deadletter", "discard_deadletter")
    url = page_of("discard", ids=letter.pk, back=reverse(LIST))
    assert "is discarded" in confirm(client, url, "a test").text
    assert (OperatorAction.objects.get().reason, LogEntry.objects.count()) == ("a test", 1)
    assert InboxMessage.objects.get(message_id=letter.message_id).ordering_key is None


@pytest.mark.parametrize("action", DECIDE)
def test_double_click_decides_once(letter: DeadLetter, action: str) -> None:
    client, url = user_with(*ALL), page_of(action, ids=letter.pk)
    form = sent_form(client.get(url).text, reason="x")
    for _ in range(2):
        assert client.post(url, form).status_code == 302
    assert OperatorAction.objects.count() == LogEntry.objects.count() == 1


@pytest.mark.parametrize("action", DECIDE)
def test_second_of_two_operators_learns_that_it_is_gone(letter: DeadLetter, action: str) -> None:
    anna, ben, url = user_with(*ALL), user_with(*ALL), page_of(action, ids=letter.pk)
    form = sent_form(ben.get(url).text, reason="x")
    confirm(anna, url)
    answer = ben.post(url, form)
    assert answer.status_code in (400, 409) and "gone" in answer.text
    assert OperatorAction.objects.count() == 1


def test_letter_that_died_again_meanwhile_is_refused(letter: DeadLetter) -> None:
    client, url = user_with(*ALL), page_of("redrive", ids=letter.pk)
    form = sent_form(client.get(url).text, reason="x")
    DeadLetter.objects.update(attempts=7)
    answer = client.post(url, form)
    assert answer.status_code == 409 and "7 attempts" in answer.text


@pytest.mark.parametrize("ids", ["", "x", "-1", "²"])
@pytest.mark.parametrize("action", DECIDE)
def test_what_is_no_letter_is_said(action: str, ids: str) -> None:
    page = user_with(*ALL).get(page_of(action, ids=ids))
    assert page.status_code in (200, 400) and 'name="token"' not in page.text


def test_all_of_a_long_list_means_as_many_as_are_done_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shown_letters, "MOST_AT_ONCE", 2)
    letters = [bury() for _ in range(3)]
    data = {"action": "redrive", "select_across": "1", "_selected_action": ["1"]}
    answer = user_with(*ALL).post(reverse(LIST), data)
    assert f"ids={letters[2].pk}%2C{letters[1].pk}" in answer.headers["Location"] or (
        f"ids={letters[0].pk}%2C{letters[1].pk}" in answer.headers["Location"]
    )


# Two people


@pytest.mark.parametrize(("action", "word"), [("redrive", "redrive"), ("discard", "discard")])
def test_two_people_decide_where_settings_say_so(
    letter: DeadLetter, settings: Any, action: str, word: str
) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": [word]}
    anna, url = user_with(*ALL), page_of(action, ids=letter.pk)
    assert "needs two people" in anna.get(url).text
    confirm(anna, url)
    assert DeadLetter.objects.exists() and not OperatorAction.objects.exists()
    decide = reverse("admin:whizbang_actionrequest_decide", args=[ActionRequest.objects.get().pk])
    ben = user_with(DECIDE[action], "approve_actionrequest", "view_actionrequest")
    ben.post(decide, {"decision": "approve", "reason": "Yes."})
    assert not DeadLetter.objects.exists()
    names = set(OperatorAction.objects.values_list("action", flat=True))
    assert names == {action, "approve request"}


# Many


def test_many_that_match_are_discarded_by_a_worker_up_to_what_was_there() -> None:
    letters = [bury() for _ in range(3)]
    client = user_with(*ALL)
    url = page_of("discard", type="shop.NoteOrder", cause="Boom", until=letters[1].pk)
    assert "<td>2</td>" in client.get(url).text
    confirm(client, url, "all tests")
    assert DeadLetter.objects.count() == 3
    drain()
    assert list(DeadLetter.objects.all()) == [letters[2]]
    request = ActionRequest.objects.get()
    assert (request.status, request.document) == ("done", {"discarded": 2, "left": 0})
    assert OperatorAction.objects.filter(action="discard", reason="all tests").count() == 2


def test_group_is_redriven_once_although_two_ask() -> None:
    bury()
    anna, ben = user_with(*ALL), user_with(*ALL)
    url = page_of("redrive", cause="Boom", rate_per_second=5)
    form = sent_form(ben.get(url).text, reason="mine")
    confirm(anna, url)
    answer = ben.post(url, form)
    assert "is open already" in answer.text
    assert Redrive.objects.count() == 1
