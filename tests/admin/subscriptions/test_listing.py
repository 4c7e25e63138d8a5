"""The list of subscriptions: where each stands, and what it leads to."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.admin.clients import EVIL, user_with
from tests.admin.subscriptions.acting import do, url_of
from whizbang.models import Backfill, EventType, Partition, Rebuild, Subscription
from whizbang.operations.actions.rebuilds import RequestRebuild
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
NAME = "shop.OrderSummaries"
LIST = "admin:whizbang_subscription_changelist"


def test_rebuild_link_is_shown_to_those_who_may_rebuild(stream: str) -> None:
    url = reverse(LIST)
    link = url_of(RequestRebuild(subscription=NAME))
    assert link in user_with("view_subscription", "rebuild_subscription").get(url).text
    assert link not in user_with("view_subscription").get(url).text


def test_failed_rebuild_stands_beside_its_projection(stream: str) -> None:
    EventType.objects.create(name="shop.Renamed", first_position=1)
    client = user_with("view_subscription", "rebuild_subscription", "view_rebuild")
    assert do(client, RequestRebuild(subscription=NAME)).status_code == 302
    drain()
    run = Rebuild.objects.get()
    page = client.get(reverse(LIST)).text
    assert "failed: UnknownMessageType: " in page
    assert "Traceback" not in page
    assert reverse("admin:whizbang_rebuild_change", args=[run.pk]) in page
    without = user_with("view_subscription").get(reverse(LIST)).text
    assert "failed: UnknownMessageType: " in without
    assert "/rebuild/" not in without
    EventType.objects.filter(name="shop.Renamed").delete()
    do(client, RequestRebuild(subscription=NAME))
    drain()
    assert "failed" not in client.get(reverse(LIST)).text


def test_stopped_subscription_shows_its_error(stream: str) -> None:
    Subscription.objects.filter(name=NAME).update(error=f"{EVIL}\nmore")
    client = user_with("view_subscription")
    page = client.get(reverse(LIST)).text
    assert "stopped: &lt;script&gt;" in page
    assert EVIL not in page
    detail = client.get(reverse("admin:whizbang_subscription_change", args=[NAME])).text
    assert "&lt;/script&gt;\nmore</pre>" in detail
    assert EVIL not in detail


def test_paused_subscription_says_so(stream: str) -> None:
    client = user_with("view_subscription")
    assert "paused" not in client.get(reverse(LIST)).text
    Subscription.objects.filter(name=NAME).update(status="paused")
    assert "paused" in client.get(reverse(LIST)).text


def test_need_of_a_rebuild_is_told(stream: str) -> None:
    client = user_with("view_subscription")
    assert "needs rebuild" not in client.get(reverse(LIST)).text
    Subscription.objects.filter(name=NAME).update(version=0)
    assert "needs rebuild" in client.get(reverse(LIST)).text


def test_what_is_under_way_is_told_with_how_far_it_is(stream: str) -> None:
    client = user_with("view_subscription", "view_rebuild", "view_backfill")
    run = Rebuild.objects.create(
        projection=NAME, status="running", phase="catching_up", target=200, position=50
    )
    page = client.get(reverse(LIST)).text
    assert "rebuild, catching up, 25 %" in page
    Rebuild.objects.filter(pk=run.pk).update(status="done")
    known = {"after": 0, "position": 0, "until": 9, "events": 8, "events_done": 2}
    Backfill.objects.create(subscription=NAME, scope={}, status="running", **known)
    assert "backfill, running, 25 %" in client.get(reverse(LIST)).text


def test_several_partitions_are_told_by_the_last_one(stream: str) -> None:
    Partition.objects.filter(subscription=NAME).update(end_slice=512)
    Partition.objects.create(subscription=NAME, first_slice=512, position=0)
    assert "0 in 2 partitions" in user_with("view_subscription").get(reverse(LIST)).text


def test_parked_streams_are_linked_for_those_who_may_see_them(stream: str) -> None:
    link = f"{reverse('admin:whizbang_parkedstream_changelist')}?subscription={NAME}"
    assert link not in user_with("view_subscription").get(reverse(LIST)).text
    client = user_with("view_subscription", "view_parkedstream")
    assert link in client.get(reverse(LIST)).text
    assert stream in client.get(link).text
    other = link.replace(NAME, "shop.CustomerTotals")
    assert stream not in client.get(other).text


def test_all_subscriptions_are_read_together(stream: str) -> None:
    """Their number makes no difference."""
    client = user_with("view_subscription", "view_parkedstream", "view_rebuild", "view_backfill")
    with CaptureQueriesContext(connection) as captured:
        client.get(reverse(LIST))
    assert Subscription.objects.count() > 10
    assert len(captured) <= 25
