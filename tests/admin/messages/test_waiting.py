"""Inbox, outbox and what is due later: who may see and do what, and what the pages say."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.admin.clients import EVIL, user_with
from tests.admin.messages.pages import confirm, page_of, sent_form
from tests.operations.messages.stored import unsent, waiting
from whizbang.models import ActionRequest, InboxMessage, OperatorAction, OutboxMessage
from whizbang.operations.messages.inbox_decisions import handle_now
from whizbang_admin.messages import inbox_messages, newest

pytestmark = pytest.mark.django_db
INBOX = ("view_inboxmessage", "retry_inboxmessage", "discard_inboxmessage")
OUTBOX = ("view_outboxmessage", "retry_outboxmessage", "discard_outboxmessage")
SCHEDULED = "admin:whizbang_inboxmessage_scheduled"
PERMISSIONS = {
    "handle-now": "retry_inboxmessage",
    "reschedule": "retry_inboxmessage",
    "discard-inbox": "discard_inboxmessage",
    "send-now": "retry_outboxmessage",
    "discard-outbox": "discard_outboxmessage",
}


def stored(action: str) -> Any:
    """A message that the action can be done to."""
    return unsent() if PERMISSIONS[action].endswith("outboxmessage") else waiting()


def url_for(action: str, row: Any, **more: Any) -> str:
    back = reverse(f"admin:whizbang_{row._meta.model_name}_change", args=[row.pk])
    if action == "reschedule":
        more = {"to": "2100-01-01T00:00", **more}
    return page_of(action, message=row.pk, back=back, **more)


def page_of_row(row: Any) -> str:
    return reverse(f"admin:whizbang_{row._meta.model_name}_change", args=[row.pk])


# Who may


@pytest.mark.parametrize("action", PERMISSIONS)
def test_each_decision_needs_its_permission(action: str) -> None:
    url = url_for(action, stored(action))
    others = {*INBOX, *OUTBOX} - {PERMISSIONS[action]}
    assert Client().get(url).status_code == 302
    for client in (user_with(), user_with(*others)):
        assert client.get(url).status_code == 403
        assert client.post(url, {"reason": "x"}).status_code == 403
    assert user_with(PERMISSIONS[action]).get(url).status_code == 200
    assert not OperatorAction.objects.exists()


@pytest.mark.parametrize("action", PERMISSIONS)
def test_decision_needs_a_csrf_token(action: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    url = url_for(action, stored(action))
    assert client.post(url, sent_form(client.get(url).text, reason="x")).status_code == 403
    assert not OperatorAction.objects.exists()


@pytest.mark.parametrize("action", PERMISSIONS)
def test_double_click_decides_once(action: str) -> None:
    client, url = user_with(*INBOX, *OUTBOX), url_for(action, stored(action))
    form = sent_form(client.get(url).text, reason="x")
    assert not OperatorAction.objects.exists()
    for _ in range(2):
        assert client.post(url, form).status_code == 302
    assert OperatorAction.objects.count() == LogEntry.objects.count() == 1


@pytest.mark.parametrize("model", ["inboxmessage", "outboxmessage"])
def test_pages_need_the_view_permission(model: str) -> None:
    row = waiting() if model == "inboxmessage" else unsent()
    urls = [reverse(f"admin:whizbang_{model}_changelist"), page_of_row(row)]
    urls += [reverse(SCHEDULED)] if model == "inboxmessage" else []
    for url in urls:
        assert Client().get(url).status_code == 302
        assert user_with("retry_inboxmessage", "retry_outboxmessage").get(url).status_code == 403
        assert user_with(f"view_{model}").get(url).status_code == 200


# What they say


def test_page_of_a_message_says_why_it_waits_and_offers_what_can_be_done() -> None:
    first, second = waiting(key=f"k-{EVIL}"), waiting(EVIL, key=f"k-{EVIL}", delay_seconds=0)
    InboxMessage.objects.update(error=EVIL, traceback=EVIL)
    page = user_with(*INBOX).get(page_of_row(second)).text
    assert f"behind message {first.pk}" in page and page_of_row(first) in page
    for name in ("handle-now", "reschedule", "discard-inbox"):
        assert f"/do/{name}/" in page
    assert EVIL not in page and page.count("&lt;script&gt;") >= 4
    assert "/do/" not in user_with("view_inboxmessage").get(page_of_row(second)).text
    InboxMessage.objects.filter(pk=second.pk).update(finished_at=timezone.now(), status="handled")
    assert "/do/" not in user_with(*INBOX).get(page_of_row(second)).text


def test_message_that_is_not_there_is_not_found() -> None:
    for model in ("inboxmessage", "outboxmessage"):
        for key in ("0", "x", str(2**70)):
            url = reverse(f"admin:whizbang_{model}_change", args=[key])
            assert user_with(*INBOX, *OUTBOX).get(url).status_code == 404


def test_inbox_is_filtered_by_status_and_type(monkeypatch: pytest.MonkeyPatch) -> None:
    client, url = user_with(*INBOX), reverse("admin:whizbang_inboxmessage_changelist")
    old, new = waiting(), waiting()
    InboxMessage.objects.filter(pk=old.pk).update(status="handled", finished_at=timezone.now())
    page = client.get(url, {"status": "handled"}).text
    assert str(old.message_id) in page and str(new.message_id) not in page
    assert "Among the newest 100,000 messages" in page
    page = client.get(url, {"status": "stored"}).text
    assert str(new.message_id) in page and str(old.message_id) not in page
    assert "Among the newest" not in page
    assert "type=shop.NoteOrder" in page
    assert str(new.message_id) in client.get(url, {"type": "shop.NoteOrder"}).text
    assert str(new.message_id) not in client.get(url, {"type": "shop.OpenOrder"}).text
    monkeypatch.setattr(newest, "NEWEST", 1)
    page = client.get(url, {"type": "shop.NoteOrder"}).text
    assert str(new.message_id) in page and str(old.message_id) not in page


def test_scheduled_messages_are_paged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_messages, "_PAGE_ROWS", 2)
    rows = [waiting(delay_seconds=seconds) for seconds in (60, 60, 120)]
    client, url = user_with(*INBOX), reverse(SCHEDULED)
    page = client.get(url).text
    assert str(rows[0].message_id) in page and str(rows[2].message_id) not in page
    [more] = re.findall(r'href="(\?after=[^"]+)" rel="next"', page)
    page = client.get(url + html.unescape(more)).text
    assert str(rows[2].message_id) in page and str(rows[1].message_id) not in page
    assert "First page" in page and "Next page" not in page
    for wrong in ("x", "2026-01-01T00:00", "2026-99-01T00:00Z"):
        assert client.get(url, {"after": wrong}).status_code == 404
    assert client.get(url, {"after": "2026-01-01T00:00Z", "id": "x"}).status_code == 404
    InboxMessage.objects.all().delete()
    assert "Nothing is due later." in client.get(url).text


def test_outbox_tells_what_waits_for_whom_since_when() -> None:
    client, url = user_with(*OUTBOX), reverse("admin:whizbang_outboxmessage_changelist")
    assert "Nothing waits to be sent." in client.get(url).text
    mine, other = unsent(service=EVIL, type=EVIL), unsent("post")
    sent = unsent("post", published_at=timezone.now())
    page = client.get(url).text
    assert str(mine.message_id) in page and str(sent.message_id) not in page
    assert EVIL not in page and 'data-wb-live="outbox-waiting"' in page
    page = client.get(url, {"service": "post"}).text
    assert str(other.message_id) in page and str(mine.message_id) not in page
    assert str(sent.message_id) in client.get(url, {"q": str(sent.message_id)}).text
    shown = client.get(page_of_row(mine)).text
    assert EVIL not in shown and "/do/send-now/" in shown and "/do/discard-outbox/" in shown
    assert "/do/" not in client.get(page_of_row(sent)).text


@pytest.mark.parametrize("model", ["inboxmessage", "outboxmessage"])
def test_lists_never_count_or_read_payloads(model: str) -> None:
    waiting("secret"), unsent()
    client = user_with(*INBOX, *OUTBOX)
    with CaptureQueriesContext(connection) as captured:
        client.get(reverse(f"admin:whizbang_{model}_changelist"))
        if model == "inboxmessage":
            client.get(reverse(SCHEDULED))
    statements = [q["sql"].replace("`", '"') for q in captured]
    assert len(statements) < 25
    assert not any('"payload"' in sql for sql in statements)
    assert not any(sql.startswith("SELECT COUNT(*)") and "LIMIT" not in sql for sql in statements)
    assert not any("DISTINCT" in sql and "whizbang_" in sql for sql in statements)


# Deciding


def test_scheduled_message_is_rescheduled_and_handled_now_with_a_trail() -> None:
    row, client = waiting(), user_with(*INBOX, "view_operatoraction")
    url = url_for("reschedule", row)
    assert "2100-01-01 00:00:00" in client.get(url).text
    confirm(client, url, EVIL)
    row.refresh_from_db()
    assert row.available_at.year == 2100
    page = confirm(client, url_for("handle-now", row), "mended").text
    assert "is due now" in page and "What operators did" in page and EVIL not in page
    assert "past" in client.get(url_for("reschedule", row, to="2000-01-01T00:00")).text
    assert "Enter a valid date" in client.get(url_for("reschedule", row, to="x")).text
    assert 'name="token"' not in client.get(page_of("reschedule", message=row.pk)).text


def test_discards_say_who_learns_of_them() -> None:
    row, command = waiting(), unsent(reply_to="shop")
    InboxMessage.objects.update(reply_to="billing")
    client = user_with(*INBOX, *OUTBOX)
    page = client.get(url_for("discard-inbox", row)).text
    assert "service billing is told" in page and "audit trail keeps the payload" in page
    page = client.get(url_for("discard-outbox", command)).text
    assert "learns that it failed" in page
    confirm(client, url_for("discard-inbox", row))
    confirm(client, page_of("discard-outbox", message=command.pk, back="/admin/"))
    row.refresh_from_db()
    assert row.status == "failed" and not OutboxMessage.objects.filter(pk=command.pk).exists()


@pytest.mark.parametrize("action", ["handle-now", "discard-inbox"])
def test_message_that_has_changed_since_is_refused(action: str) -> None:
    row, client = waiting(), user_with(*INBOX)
    url = url_for(action, row)
    form = sent_form(client.get(url).text, reason="x")
    handle_now(row.pk, operator="ben")
    answer = client.post(url, form)
    assert answer.status_code == 409 and "has changed since you looked" in answer.text
    assert OperatorAction.objects.get().operator == "ben"


def test_message_that_a_worker_has_taken_meanwhile_is_refused() -> None:
    row, client = waiting(), user_with(*INBOX)
    url = url_for("discard-inbox", row)
    form = sent_form(client.get(url).text, reason="x")
    until = timezone.now() + timedelta(minutes=1)
    InboxMessage.objects.update(status="running", attempts=1, available_at=until)
    answer = client.post(url, form)
    assert answer.status_code in (400, 409)
    assert not OperatorAction.objects.exists()


@pytest.mark.parametrize("action", ["discard-inbox", "discard-outbox"])
def test_two_people_discard_where_settings_say_so(settings: Any, action: str) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": ["discard"]}
    row = stored(action)
    client = user_with(*INBOX, *OUTBOX)
    assert "needs two people" in client.get(url_for(action, row)).text
    confirm(client, url_for(action, row))
    request = ActionRequest.objects.get()
    assert (request.action, request.status) == (action, "waiting")
    assert not OperatorAction.objects.exists()
    ben = user_with(PERMISSIONS[action], "approve_actionrequest", "view_actionrequest")
    decide = reverse("admin:whizbang_actionrequest_decide", args=[request.pk])
    ben.post(decide, {"decision": "approve", "reason": "Yes."})
    assert OperatorAction.objects.filter(action="discard").count() == 1
