"""Finding a stream and reading it, with names and payloads that mean harm."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.admin.utils import quote
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

import whizbang
import whizbang_admin
from tests.admin.clients import EVIL, user_with
from tests.shop.messages import NOON, OrderNoted
from whizbang.models import StoredEvent, Stream
from whizbang.operations.history import rewriting
from whizbang.testing import drain
from whizbang_admin.streams import timeline as streams

pytestmark = pytest.mark.django_db
LONG = "x" * 20_000 + "the very end"


def append(stream: str, *texts: str) -> None:
    whizbang.event_store().append(stream, [OrderNoted(order_id="1", text=t) for t in texts])


def timeline_of(stream: str) -> str:
    return reverse("admin:whizbang_stream_timeline", args=[stream])


def test_long_payload_is_cut_with_a_link_to_the_whole_event() -> None:
    append("shop.Order-1", "short", LONG)
    link = reverse("admin:whizbang_stream_event", args=[2, "shop.Order-1"])
    client = user_with("view_stream")
    page = client.get(timeline_of("shop.Order-1")).text
    assert "the very end" not in page
    assert "There is more" in page
    assert link in page
    assert "the very end" in client.get(link).text


def test_event_page_needs_the_view_permission_and_escapes_text() -> None:
    append("shop.Order-1", EVIL)
    url = reverse("admin:whizbang_stream_event", args=[1, "shop.Order-1"])
    assert user_with().get(url).status_code == 403
    page = user_with("view_stream").get(url)
    assert EVIL not in page.text
    assert "&lt;script&gt;" in page.text


@pytest.mark.parametrize("version", [0, 2, 2**31 - 1, 2**80])
def test_event_that_is_not_there_is_not_found(version: int) -> None:
    append("shop.Order-1", "one")
    url = reverse("admin:whizbang_stream_event", args=[version, "shop.Order-1"])
    assert user_with("view_stream").get(url).status_code == 404


@pytest.mark.parametrize("after", ["-1", "x", "²", "", "9" * 40, str(2**31)])
def test_timeline_refuses_a_version_that_is_none(after: str) -> None:
    append("shop.Order-1", "one")
    url = timeline_of("shop.Order-1")
    assert user_with("view_stream").get(url, {"after": after}).status_code == 404


def test_timeline_pages_by_version() -> None:
    append("shop.Order-1", *(f"note {n}." for n in range(1, 53)))
    client = user_with("view_stream")
    first = client.get(timeline_of("shop.Order-1")).text
    assert "note 50." in first
    assert "note 51." not in first
    assert 'href="?after=50"' in first
    last = client.get(timeline_of("shop.Order-1"), {"after": "50"}).text
    assert "note 51." in last
    assert "note 50." not in last
    assert "Later events" not in last


def test_stream_name_and_type_are_escaped() -> None:
    append("shop.Order-1", "one")
    drain()
    name = f"shop.Order-{EVIL}"
    Stream.objects.update(name=name, last_type=EVIL)
    with rewriting(reason="an evil name"):
        StoredEvent.objects.update(stream=name, type=EVIL)
    client = user_with("view_stream")
    for url in (reverse("admin:whizbang_stream_changelist"), timeline_of(name)):
        page = client.get(url).text
        assert EVIL not in page
        assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    "name",
    [
        "shop.Order-a/b",
        "shop.Order-1/timeline",
        "shop.Order-ü ?#%",
        "shop.Order-a\nb",
        "shop.Order-/../../logout/",
        "shop.Order-a_b",
        "shop.Order-a_2Fb",
    ],
)
def test_timeline_opens_for_any_name(name: str) -> None:
    append(name, "found me")
    drain()
    client = user_with("view_stream")
    page = client.get(reverse("admin:whizbang_stream_changelist")).text
    link = re.search(r'href="([^"]*/timeline/[^"]*)"', page)
    assert link is not None
    assert "/../" not in link[1]
    timeline = client.get(link[1]).text
    assert "found me" in timeline
    event = re.search(r'href="([^"]*/event/[^"]*)"', timeline)
    assert event is not None
    assert "found me" in client.get(event[1]).text


def test_timeline_of_a_stream_that_is_not_there_is_not_found() -> None:
    client = user_with("view_stream")
    assert client.get(timeline_of("shop.Order-none")).status_code == 404
    assert client.get(timeline_of("shop.Order-\0")).status_code == 404


@pytest.mark.requires_sqlite
def test_timeline_survives_a_payload_that_cannot_be_read() -> None:
    append("shop.Order-1", "one", "two")
    table = StoredEvent._meta.db_table
    with rewriting(reason="a broken payload"), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET payload = %s WHERE version = 1", [b"\xc1\xff"])
    page = user_with("view_stream").get(timeline_of("shop.Order-1"))
    assert "This cannot be read" in page.text
    assert "two" in page.text


def test_streams_are_filtered_by_the_categories_of_the_code() -> None:
    append("shop.Order-1", "one")
    drain()
    Stream.objects.create(
        name="other.Thing-1",
        category="other.Thing",
        version=1,
        last_position=10**6,
        last_type="t",
        first_recorded_at=NOON,
        last_recorded_at=NOON,
    )
    client, url = user_with("view_stream"), reverse("admin:whizbang_stream_changelist")
    with CaptureQueriesContext(connection) as captured:
        page = client.get(url, {"category": "shop.Order"}).text
    assert "shop.Order-1" in page
    assert "other.Thing-1" not in page
    assert not any("DISTINCT" in q["sql"] for q in captured)


def test_newest_streams_come_first_and_columns_do_not_sort() -> None:
    append("shop.Order-old", "one")
    append("shop.Order-new", "two")
    drain()
    url = reverse("admin:whizbang_stream_changelist")
    page = user_with("view_stream").get(url).text
    assert 0 < page.index("shop.Order-new") < page.index("shop.Order-old")
    assert "?o=" not in page
    assert "sortable" not in page


def test_timeline_of_thousands_of_events_costs_few_statements_of_bounded_size() -> None:
    append("shop.Order-1", *("note" for _ in range(5000)))
    client = user_with("view_stream")
    for after in ("0", "2500", "4950", "9999"):
        with CaptureQueriesContext(connection) as captured:
            page = client.get(timeline_of("shop.Order-1"), {"after": after}).text
        assert len(captured) < 8
        assert page.count('class="wb-event"') <= 50
        reads = [q["sql"] for q in captured if "payload" in q["sql"]]
        assert all("LIMIT 50" in sql for sql in reads)


def test_timeline_leads_to_its_ends_and_says_where_it_is() -> None:
    append("shop.Order-1", *("note" for _ in range(120)))
    client = user_with("view_stream")

    def links(after: int) -> dict[str, str]:
        page = client.get(timeline_of("shop.Order-1"), {"after": after}).text
        found = re.findall(r'<a href="\?after=(\d+)">(\w+) events</a>', page)
        said = re.search(r"Events \d+ to \d+ of 120|120 events", page)
        assert said is not None
        return {**{text: number for number, text in found}, "said": said[0]}

    assert links(0) == {"Later": "50", "Latest": "70", "said": "Events 1 to 50 of 120"}
    assert links(60) == {
        "First": "0",
        "Earlier": "10",
        "Later": "110",
        "Latest": "70",
        "said": "Events 61 to 110 of 120",
    }
    assert links(70) == {"First": "0", "Earlier": "20", "said": "Events 71 to 120 of 120"}
    assert links(120) == {"First": "0", "Earlier": "70", "said": "120 events"}


def test_page_of_big_payloads_ends_early_and_goes_on_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "PAGE_BYTES", 50_000)
    append("shop.Order-1", *(LONG for _ in range(5)), "x" * 60_000, "small")
    client = user_with("view_stream")
    seen: list[str] = []
    after = "0"
    while after:
        page = client.get(timeline_of("shop.Order-1"), {"after": after}).text
        seen += re.findall(r'id="v(\d+)"', page)
        more = re.search(r'after=(\d+)">Later', page)
        after = more[1] if more else ""
    assert seen == [str(n) for n in range(1, 8)]


@pytest.mark.parametrize("page", ["timeline", "event"])
def test_breadcrumbs_lead_home_by_way_of_the_streams(page: str) -> None:
    name = f"shop.Order-{EVIL}"
    append(name, "one")
    key = quote(name)
    urls = {
        "timeline": timeline_of(key),
        "event": reverse("admin:whizbang_stream_event", args=[1, key]),
    }
    text = user_with("view_stream").get(urls[page]).text
    crumbs = re.search(r'class="breadcrumbs">(.*?)</(?:div|ol)>', text, re.DOTALL)
    assert crumbs is not None
    links = re.findall(r'<a href="(.*?)">(.*?)</a>', crumbs[1])
    expected = [
        (reverse("admin:index"), "Home"),
        (reverse("admin:app_list", args=["whizbang"]), "Whizbang data"),
        (reverse("admin:whizbang_stream_changelist"), "Streams"),
    ]
    if page == "event":
        expected.append((urls["timeline"], escape(name)))
    assert links == expected
    last = re.split("</a>", crumbs[1])[-1]
    assert (escape(name) if page == "timeline" else "Event 1") in last
    assert EVIL not in text


def test_templates_have_no_inline_script_or_style() -> None:
    templates = list(Path(whizbang_admin.__file__).parent.glob("templates/**/*.html"))
    assert templates
    for file in templates:
        assert not re.search(
            r"<script(?! src=)|<style|\sstyle=|\son\w+=|\|safe|autoescape", file.read_text()
        )
