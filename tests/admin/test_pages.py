"""The console's pages: who may see them, and what they show."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from tests.admin.clients import EVIL, user_with
from tests.raw_events import append_raw
from tests.shop.messages import NOON
from whizbang.models import DeadLetter, InboxMessage, ParkedStream, Rebuild, SkippedEvent
from whizbang_admin.frame import keyset

pytestmark = pytest.mark.django_db
PAGES = [
    "stream",
    "subscription",
    "rebuild",
    "parkedstream",
    "skippedevent",
    "inboxmessage",
    "deadletter",
    "redrive",
    "operatoraction",
    "historychange",
]


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
            page = user_with(f"view_{name}").get(
                reverse(f"admin:whizbang_{name}_changelist"), {"all": 1}
            )
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


@pytest.mark.parametrize("name", ["inboxmessage", "deadletter"])
def test_messages_are_found_by_their_whole_id(name: str) -> None:
    wanted, other = uuid4(), uuid4()
    for message_id in (wanted, other):
        store_message(name, message_id=message_id)
    client, url = user_with(f"view_{name}"), reverse(f"admin:whizbang_{name}_changelist")
    page = client.get(url, {"q": f" {wanted} "}).text
    assert str(other) not in page
    assert page.count(str(wanted)) > 1
    assert "0 results" in client.get(url, {"q": str(wanted)[:8]}).text


@pytest.mark.parametrize(
    "name", ["inboxmessage", "deadletter", "parkedstream", "skippedevent", "rebuild"]
)
def test_errors_are_escaped_in_a_box_that_scrolls(name: str) -> None:
    error = f"ValueError: {EVIL}\nsecond line"
    row = {
        "inboxmessage": lambda: store_message(name, error=error, traceback=error),
        "deadletter": lambda: store_message(name, error=error, traceback=error),
        "parkedstream": lambda: ParkedStream.objects.create(
            subscription="shop.OrderSummaries",
            stream="shop.Order-1",
            position=1,
            version=1,
            type="shop.OrderNoted",
            error=error,
            traceback=error,
        ),
        "skippedevent": lambda: SkippedEvent.objects.create(
            subscription="shop.OrderSummaries",
            stream="shop.Order-1",
            position=1,
            version=1,
            type="shop.OrderNoted",
            reason="A typo.",
            error=error,
        ),
        "rebuild": lambda: Rebuild.objects.create(projection="shop.OrderSummaries", error=error),
    }[name]()
    url = reverse(f"admin:whizbang_{name}_change", args=[row.pk])
    page = user_with(f"view_{name}").get(url).text
    boxes = re.findall(r'<pre class="wb-text"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert f"ValueError: {escape(EVIL)}\nsecond line" in boxes
    assert EVIL not in page
    assert "whizbang_admin/whizbang.css" in page


def test_count_that_stops_says_that_there_is_more(
    stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "MOST_COUNTED", 3)
    client, url = user_with("view_deadletter"), reverse("admin:whizbang_deadletter_changelist")
    for _ in range(3):
        store_message("deadletter")
    page = client.get(url, {"all": 1}).text
    assert "3 results" in page
    assert "3+" not in page
    store_message("deadletter")
    page = client.get(url, {"all": 1}).text
    assert "3+ results" in page
    assert "3+ dead letters" in page
    assert "3 results" not in page


def test_count_that_stops_is_written_as_the_language_does(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(keyset, "count_up_to", lambda rows, most: most)
    store_message("deadletter")
    client, url = user_with("view_deadletter"), reverse("admin:whizbang_deadletter_changelist")
    assert "10,000+ results" in client.get(url, {"all": 1}).text
    settings.LANGUAGE_CODE = "de"
    assert "10.000+" in client.get(url, {"all": 1}).text


def store_message(name: str, **more: Any) -> Any:
    known = {"message_id": uuid4(), "type": "shop.NoteOrder", "occurred_at": NOON, "attempts": 1}
    if name == "deadletter":
        own = {"payload": b"{}", "metadata": b"{}", "reason": "boom", "error": "boom"}
        return DeadLetter.objects.create(**{**known, **own, **more})
    own = {"service": "shop", "payload_hash": b"", "mode": "async", "available_at": NOON}
    return InboxMessage.objects.create(**{**known, **own, **more})
