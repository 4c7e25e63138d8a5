"""The overview's page: who may see it, what it says, and that it costs little."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

import whizbang
from tests.admin.clients import EVIL, user_with
from tests.operations.overview.samples import NAME, sample
from tests.shop.messages import OrderNoted
from whizbang.models import Lease, StoreHead, Subscription, WorkerProcess
from whizbang.operations.overview.overview import read_overview
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
MAY = "view_overview"


def url() -> str:
    return reverse("admin:whizbang_admin_overview_changelist")


def page(*more: str) -> str:
    answer = user_with(MAY, *more).get(url())
    assert answer.status_code == 200
    return answer.text


@pytest.fixture
def troubled(db: None) -> None:
    """Everything that carries a text carries an evil one."""
    drain()
    sample(
        seconds_ago=1,
        dead_letters=3,
        letter_groups=[{"type": EVIL, "reason": EVIL, "letters": 3}],
        parked=1,
        outbox=1,
        outbox_oldest_seconds=90.0,
        inbox={"stored": 2, "running": 0, "retrying": 1},
    )
    Subscription.objects.filter(name=NAME).update(error=EVIL)
    row: dict[str, Any] = {"service": EVIL, "process_id": 1234, "started_at": timezone.now()}
    WorkerProcess.objects.create(
        name=EVIL, host=EVIL, parts=EVIL, state=EVIL[:20], seen_at=timezone.now(), **row
    )
    Lease.objects.create(name=EVIL, owner=EVIL, expires_at=timezone.now() + timedelta(minutes=1))


def test_it_needs_the_permission() -> None:
    assert Client().get(url()).status_code == 302
    assert user_with().get(url()).status_code == 403
    assert user_with("view_subscription", "view_deadletter").get(url()).status_code == 403
    assert user_with(MAY, is_staff=False).get(url()).status_code == 302
    assert user_with(MAY).get(url()).status_code == 200


def test_posting_changes_nothing() -> None:
    assert user_with(MAY).post(url(), {"action": "x"}).status_code in (200, 405)


def test_all_is_well_is_said_in_words() -> None:
    drain()
    sample(seconds_ago=1)
    shown = page()
    assert "All is well" in shown and "needs somebody" not in shown


def test_evil_texts_are_escaped(troubled: None) -> None:
    shown = page("view_deadletter", "view_subscription")
    assert EVIL not in shown
    assert shown.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6


def test_troubles_lead_to_where_they_are_mended(troubled: None) -> None:
    shown = page("view_deadletter", "view_subscription", "view_parkedstream")
    for name in ("deadletter", "parkedstream"):
        assert f'href="{reverse(f"admin:whizbang_{name}_changelist")}"' in shown
    assert (
        f'href="{reverse("admin:whizbang_subscription_change", args=["shop_2EOrderSummaries"])}"'
        in (shown.replace("shop.OrderSummaries", "shop_2EOrderSummaries"))
    )
    assert "4 things need somebody" in shown


def test_links_are_for_those_who_may_follow_them(troubled: None) -> None:
    shown = page()
    assert "3 dead letters wait" in shown
    for name in ("deadletter", "parkedstream", "subscription"):
        assert f"/whizbang/{name}/" not in shown


def test_timeouts_lead_to_those_that_are_meant() -> None:
    sample(seconds_ago=1, timeouts_overdue=1, timeouts_failed=1)
    client = user_with(MAY, "view_sagatimeout")
    links = re.findall(r'href="([^"]*sagatimeout/[?][^"]*)"', client.get(url()).text)
    assert sorted(link.partition("?")[2] for link in links) == ["kind=failed", "kind=overdue"]
    assert all(client.get(link).status_code == 200 for link in links)


def test_what_stands_still_can_be_resumed_by_who_may(troubled: None) -> None:
    resume = reverse("admin:whizbang_operatoraction_do", args=["resume"])
    shown = page("pause_subscription")
    assert f'href="{resume}?subscription={NAME}&amp;back=' in shown
    assert resume not in page("view_subscription")


def test_charts_have_unique_ids_and_a_table_of_their_figures() -> None:
    drain()
    sample(seconds_ago=65, head=10, lag=3)
    sample(seconds_ago=5, head=70, lag=4_321)
    shown = page()
    ids = re.findall(r'\bid="([^"]+)"', shown)
    assert len(ids) == len(set(ids))
    charts = re.findall(r'<svg[^>]*class="wb-spark"', shown)
    assert len(charts) == len(read_overview().subscriptions) + 2
    table = shown.partition('id="wb-history"')[2]
    assert NAME in table and "4,321" in table


def test_nothing_on_it_needs_inline_scripts_or_styles(troubled: None) -> None:
    shown = page("view_deadletter").partition('<div id="main"')[2]
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=", shown)
    for script in re.findall(r"<script([^>]*)>(.*?)</script>", shown, re.DOTALL):
        assert "src=" in script[0] and not script[1].strip()


def test_what_live_refresh_needs_is_there() -> None:
    shown = page()
    assert re.search(r'<script src="[^"]*whizbang_admin/live\.js" defer></script>', shown)
    assert 'data-wb-live="overview"' in shown
    assert re.search(r'<div class="wb-live" id="wb-live" hidden', shown)  # useless without scripts
    assert 'aria-live="polite"' in shown
    assert re.findall(r'<option value="(\d+)"', shown) == ["0", "2", "5", "15", "60"]
    for name in re.findall(r"data-said-(\w+)=", shown):
        source = Path(str(finders.find("whizbang_admin/live.js"))).read_text()
        assert f"said{name.capitalize()}" in source


def test_who_holds_the_head_back_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tail:
        def explain(self) -> list[str]:
            return [f"pid 7 {EVIL}"]

    driver = type(whizbang.event_store().driver)
    monkeypatch.setattr(driver, "tail", lambda self, *, after: Tail())
    shown = page()
    assert "Who holds the head back" in shown
    assert "pid 7 &lt;script&gt;" in shown


def test_statements_are_few_with_much_to_show(troubled: None) -> None:
    whizbang.event_store().append(
        "shop.Order-1", [OrderNoted(order_id="1", text="a") for _ in range(30)]
    )
    head = whizbang.event_store().head()
    StoreHead.objects.update(position=head, published_at=timezone.now())
    for number in range(120):
        sample(seconds_ago=2 + 15 * number, head=number, lag=number)
    client = user_with(MAY, "view_subscription", "view_deadletter", "view_parkedstream")
    client.get(url())
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url()).status_code == 200
    assert len(captured) <= 16
    assert not any("COUNT(*)" in q["sql"] and "LIMIT" not in q["sql"] for q in captured)


def test_lists_of_data_lead_to_it() -> None:
    index = reverse("admin:app_list", args=["whizbang"])
    assert url() in user_with(MAY, "view_stream").get(index).text
    assert url() not in user_with("view_stream").get(index).text


def test_console_comes_before_its_data_in_the_admin() -> None:
    shown = user_with(MAY, "view_stream").get(reverse("admin:index")).text
    assert 0 < shown.index(url()) < shown.index(reverse("admin:whizbang_stream_changelist"))
