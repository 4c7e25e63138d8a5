"""The console's pages: who may see them, and what they show."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

import whizbang
from tests.raw_events import append_raw
from tests.shop.messages import NOON, OrderNoted
from tests.shop.models import OrderSummary
from whizbang.models import DeadLetter, InboxMessage, ParkedStream, Rebuild
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script>"
PAGES = [
    "stream",
    "subscription",
    "rebuild",
    "parkedstream",
    "inboxmessage",
    "deadletter",
    "historychange",
]


@pytest.fixture
def stream() -> str:
    name = "shop.Order-1"
    events = [OrderNoted(order_id="1", text=text) for text in (EVIL, "poison")]
    whizbang.event_store().append(name, events)
    drain()
    return name


def user_with(*codenames: str, is_staff: bool = True) -> Client:
    user = User.objects.create(username=f"u{User.objects.count()}", is_staff=is_staff)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("name", PAGES)
def test_list_needs_the_view_permission(name: str, stream: str) -> None:
    url = reverse(f"admin:whizbang_{name}_changelist")
    assert Client().get(url).status_code == 302
    assert user_with().get(url).status_code == 403
    assert user_with(f"view_{name}").get(url).status_code == 200


def test_timeline_needs_the_view_permission_and_escapes_text(stream: str) -> None:
    url = reverse("admin:whizbang_stream_timeline", args=[stream])
    assert Client().get(url).status_code == 302
    assert user_with().get(url).status_code == 403
    page = user_with("view_stream").get(url)
    assert page.status_code == 200
    assert EVIL not in page.text
    assert "&lt;script&gt;" in page.text
    assert "shop.OrderNoted" in page.text


def test_timeline_shows_a_type_that_is_gone(stream: str) -> None:
    append_raw("shop.Gone-1", "shop.Gone", {"a": EVIL})
    url = reverse("admin:whizbang_stream_timeline", args=["shop.Gone-1"])
    page = user_with("view_stream").get(url)
    assert "shop.Gone" in page.text
    assert EVIL not in page.text


def test_streams_are_found_by_the_start_of_their_name(stream: str) -> None:
    url = reverse("admin:whizbang_stream_changelist")
    client = user_with("view_stream")
    assert stream in client.get(url, {"q": "shop.Or"}).text
    assert stream not in client.get(url, {"q": "shop.Other"}).text.replace('value="shop.Other"', "")


def test_rebuild_needs_its_permission_a_post_and_a_reason(stream: str) -> None:
    url = reverse("admin:whizbang_subscription_rebuild", args=["shop.OrderSummaries"])
    assert user_with("view_subscription").get(url).status_code == 403
    client = user_with("view_subscription", "rebuild_subscription", "view_rebuild")
    assert client.get(url).status_code == 200
    assert client.post(url).status_code == 200
    assert not Rebuild.objects.exists()
    assert client.post(url, {"reason": "tried out"}).status_code == 302
    assert client.post(url, {"reason": "double click"}).status_code == 302
    run, user = Rebuild.objects.get(), User.objects.latest("id")
    assert (run.projection, run.reason) == ("shop.OrderSummaries", "tried out")
    assert run.requested_by == user.username
    entry = LogEntry.objects.get(object_id="shop.OrderSummaries")
    assert entry.user == user
    assert "tried out" in entry.change_message


def test_rebuild_page_says_in_numbers_what_will_happen(stream: str) -> None:
    url = reverse("admin:whizbang_subscription_rebuild", args=["shop.OrderSummaries"])
    client = user_with("view_subscription", "rebuild_subscription")
    page = client.get(url).text
    assert f"up to position {whizbang.event_store().head()}:" in page
    assert f"Rows there now: {OrderSummary.objects.count()}." in page
    assert "open already" not in page
    client.post(url, {"reason": "tried out"})
    assert "open already (requested)" in client.get(url).text


def test_rebuild_of_an_unknown_projection_is_not_found(stream: str) -> None:
    url = reverse("admin:whizbang_subscription_rebuild", args=["shop.Nothing"])
    assert user_with("rebuild_subscription").get(url).status_code == 404


def test_rebuild_link_is_shown_to_those_who_may_rebuild(stream: str) -> None:
    url = reverse("admin:whizbang_subscription_changelist")
    link = reverse("admin:whizbang_subscription_rebuild", args=["shop.OrderSummaries"])
    assert link in user_with("view_subscription", "rebuild_subscription").get(url).text
    assert link not in user_with("view_subscription").get(url).text


def test_rebuild_refuses_a_post_without_csrf_token(stream: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    url = reverse("admin:whizbang_subscription_rebuild", args=["shop.OrderSummaries"])
    assert client.post(url, {"reason": "x"}).status_code == 403


def test_retry_of_parked_streams_needs_its_permission(stream: str) -> None:
    parked = ParkedStream.objects.get()
    url = reverse("admin:whizbang_parkedstream_changelist")
    data = {"action": "retry", "_selected_action": [parked.pk]}
    user_with("view_parkedstream").post(url, data)
    assert not ParkedStream.objects.get().is_retry_requested
    user_with("view_parkedstream", "rebuild_subscription").post(url, data)
    assert ParkedStream.objects.get().is_retry_requested


def test_retry_of_a_subscription_that_is_gone_is_reported(stream: str) -> None:
    ParkedStream.objects.update(subscription="shop.Gone")
    url = reverse("admin:whizbang_parkedstream_changelist")
    data = {"action": "retry", "_selected_action": [ParkedStream.objects.get().pk]}
    page = user_with("view_parkedstream", "rebuild_subscription").post(url, data, follow=True)
    assert "No subscription" in page.text
    assert not ParkedStream.objects.get().is_retry_requested


def test_payloads_are_not_read_for_lists() -> None:
    known = {"message_id": uuid4(), "type": "shop.NoteOrder", "occurred_at": NOON, "attempts": 1}
    secret = {"payload": b"{}", "metadata": b"{}", "traceback": "deep inside"}
    InboxMessage.objects.create(
        **known, **secret, service="shop", payload_hash=b"", mode="async", available_at=NOON
    )
    DeadLetter.objects.create(**known, **secret, reason="boom", error="boom")
    for model in (InboxMessage, DeadLetter):
        name = model._meta.model_name or ""
        with CaptureQueriesContext(connection) as captured:
            page = user_with(f"view_{name}").get(reverse(f"admin:whizbang_{name}_changelist"))
        statements = [q["sql"].replace("`", '"') for q in captured]
        reads = [sql for sql in statements if f'"{model._meta.db_table}"."type"' in sql]
        assert str(known["message_id"]) in page.text
        assert reads
        assert not any('."payload"' in sql or "traceback" in sql for sql in reads)


@pytest.mark.parametrize("name", ["stream", "inboxmessage"])
def test_list_of_a_big_table_costs_few_statements(name: str, stream: str) -> None:
    client = user_with(f"view_{name}")
    with CaptureQueriesContext(connection) as captured:
        client.get(reverse(f"admin:whizbang_{name}_changelist"))
    assert len(captured) < 12
    assert not any("COUNT(*)" in q["sql"] and "LIMIT" not in q["sql"] for q in captured)
