"""The page of one subscription."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

import whizbang
from tests.admin.clients import EVIL, user_with
from tests.admin.subscriptions.acting import do, url_of
from tests.words.fold import WORDS
from whizbang.models import (
    ActionRequest,
    Backfill,
    EditedEvent,
    MetricSample,
    OperatorAction,
    ParkedStream,
    Partition,
    Rebuild,
    SkippedEvent,
    Subscription,
)
from whizbang.operations.actions.partitions import SetPartitions, SplitPartition
from whizbang.operations.actions.subscriptions import Pause
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
NAME = "shop.OrderSummaries"
SEES = (
    "view_subscription",
    "view_rebuild",
    "view_backfill",
    "view_parkedstream",
    "view_editedevent",
    "view_skippedevent",
    "view_operatoraction",
    "view_actionrequest",
)
DOES = (
    "pause_subscription",
    "rebuild_subscription",
    "backfill_subscription",
    "partition_subscription",
    "heal_subscription",
    "rehearse_subscription",
    "retry_parkedstream",
)


def url(name: str = NAME) -> str:
    return reverse("admin:whizbang_subscription_change", args=[name])


def test_page_needs_the_view_permission(stream: str) -> None:
    assert Client().get(url()).status_code == 302
    assert user_with(*DOES).get(url()).status_code == 403
    assert user_with("view_subscription").get(url()).status_code == 200
    assert user_with("view_subscription").get(url("shop.Nothing")).status_code == 404
    assert user_with("view_subscription").get(url("shop.No\0thing")).status_code == 404


def test_each_action_is_offered_to_those_who_may(stream: str) -> None:
    offers = {
        "pause_subscription": ("pause", "park"),
        "rebuild_subscription": ("rebuild",),
        "backfill_subscription": ("backfill",),
        "heal_subscription": ("heal",),
        "rehearse_subscription": ("dry-run",),
        "retry_parkedstream": ("retry",),
    }
    page = user_with("view_subscription").get(url()).text
    assert "/do/" not in page
    for permission, names in offers.items():
        page = user_with("view_subscription", permission).get(url()).text
        assert all(f"/do/{name}/" in page for name in names)
        assert page.count("/do/") == len(names)
    page = user_with("view_subscription", "partition_subscription").get(url(WORDS)).text
    assert "/do/split/" in page and "/do/partitions/" in page


def test_paused_one_can_be_resumed_and_an_inline_one_cannot_stand_still(stream: str) -> None:
    client = user_with("view_subscription", "pause_subscription")
    do(client, Pause(subscription=NAME))
    page = client.get(url()).text
    assert "/do/resume/" in page and "/do/pause/" not in page and "paused" in page
    page = client.get(url("shop.CustomerTotals")).text
    assert "/do/" not in page and "in the transaction of its events" in page


def test_lag_rate_and_time_to_catch_up_are_told(stream: str) -> None:
    page = user_with("view_subscription").get(url()).text
    assert "0 events" in page and "unknown" in page
    head, now = whizbang.event_store().head(), timezone.now()
    for seconds, lag in ((60, 61), (0, 1)):
        figures = {"head": head + 100, "subscriptions": {NAME: {"lag_events": lag}}}
        MetricSample.objects.create(at=now - timedelta(seconds=seconds), figures=figures)
    Partition.objects.filter(subscription=NAME).update(position=head - 1)
    page = user_with("view_subscription").get(url()).text
    assert "1 events a second" in page and "1 second<" in page
    assert "1 event, the oldest" in page.replace("\n", " ")


def test_what_was_done_and_set_aside_is_shown_to_those_who_may_see_it(stream: str) -> None:
    place = {"subscription": NAME, "stream": EVIL, "version": 1, "type": EVIL}
    EditedEvent.objects.create(**place, position=7, schema=1, payload=b"", reason=EVIL)
    SkippedEvent.objects.create(**place, position=8, error="", reason=EVIL, skipped_by=EVIL)
    ParkedStream.objects.create(**place, position=9, error=EVIL)
    Rebuild.objects.create(projection=NAME, reason=EVIL, requested_by=EVIL)
    known = {"after": 0, "position": 0, "until": 9, "events": 8}
    Backfill.objects.create(subscription=NAME, scope={}, reason=EVIL, **known)
    do(user_with("pause_subscription"), Pause(subscription=NAME), reason=EVIL)
    ActionRequest.objects.create(
        action="heal", target=f"subscription {NAME}", parameters={}, seen={}, status="waiting",
        requested_by=EVIL, reason=EVIL,
    )  # fmt: skip
    page = user_with(*SEES).get(url()).text
    assert EVIL not in page and page.count(escape(EVIL)) >= 12
    for heading in ("Parked streams", "Edited events", "Skipped events", "Last rebuilds"):
        assert heading in page
    little = user_with("view_subscription").get(url()).text
    assert escape(EVIL) not in little and "Last rebuilds" not in little


def test_subscription_whose_code_is_gone_has_a_page_without_actions(stream: str) -> None:
    Subscription.objects.create(name="shop.Gone", kind="projection")
    page = user_with("view_subscription", *DOES).get(url("shop.Gone")).text
    assert "not registered any more" in page and "/do/" not in page


def test_page_costs_few_statements(stream: str) -> None:
    Rebuild.objects.create(projection=NAME, status="running", phase="folding", target=9)
    client = user_with(*SEES, *DOES)
    with CaptureQueriesContext(connection) as captured:
        client.get(url())
    assert len(captured) <= 25, "\n".join(query["sql"] for query in captured)


def test_partitions_are_split_at_once_and_counted_by_a_worker() -> None:
    drain()
    client = user_with("partition_subscription")
    assert do(client, SplitPartition(subscription=WORDS)).status_code == 302
    assert Partition.objects.filter(subscription=WORDS).count() == 2
    assert do(client, SetPartitions(subscription=WORDS, count=4)).status_code == 302
    assert Partition.objects.filter(subscription=WORDS).count() == 2
    drain()
    assert Partition.objects.filter(subscription=WORDS).count() == 4
    assert "4 (0-256" in ActionRequest.objects.get().result
    record = OperatorAction.objects.latest("id")
    assert (record.action, record.parameters) == ("partitions", {"subscription": WORDS, "count": 4})
    asking = url_of(SplitPartition(subscription=WORDS))
    assert user_with("view_subscription").get(asking).status_code == 403
    assert client.get(url_of(SetPartitions(subscription=NAME, count=2))).status_code == 400


def test_number_of_partitions_is_asked_for(stream: str) -> None:
    client = user_with("view_subscription", "partition_subscription")
    address = reverse("admin:whizbang_operatoraction_do", args=["partitions"])
    page = client.get(f"{address}?subscription={WORDS}").text
    assert 'name="count"' in page and 'name="reason"' not in page and "errorlist" not in page
    page = client.get(f"{address}?subscription={WORDS}&count=2000").text
    assert "less than or equal to 1024" in page and 'name="reason"' not in page
    page = client.get(f"{address}?subscription={WORDS}&count=2").text
    assert "afterwards" in page and 'name="reason"' in page
