"""The page of subscriptions, and asking for a rebuild."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

import whizbang
from tests.admin.clients import EVIL, user_with
from tests.shop.models import OrderSummary
from whizbang.models import EventType, Rebuild, Subscription
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
NAME = "shop.OrderSummaries"
LIST = "admin:whizbang_subscription_changelist"


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


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("", "Reason: Say why"),
        ("   ", "Reason: Say why"),
        ("x" * 501, "Reason: Ensure this value has at most 500 characters (it has 501)."),
        ("a\0b", "Reason: Null characters are not allowed."),
    ],
)
def test_wrong_reason_is_named_and_what_was_typed_stays(
    reason: str, message: str, stream: str
) -> None:
    url = reverse("admin:whizbang_subscription_rebuild", args=[NAME])
    page = user_with("rebuild_subscription").post(url, {"reason": reason})
    assert page.status_code == 200
    assert message in page.text
    if reason.strip("x") == "":
        assert f'value="{reason}"' in page.text or not reason
    assert not Rebuild.objects.exists()


def test_typed_reason_is_kept_and_escaped(stream: str) -> None:
    url = reverse("admin:whizbang_subscription_rebuild", args=[NAME])
    reason = EVIL + '"' + "x" * 500
    page = user_with("rebuild_subscription").post(url, {"reason": reason}).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;xxx" in page
    assert EVIL not in page


def test_second_request_is_told_who_asked_first(stream: str) -> None:
    url = reverse("admin:whizbang_subscription_rebuild", args=[NAME])
    permissions = ("view_subscription", "rebuild_subscription")
    page = user_with(*permissions).post(url, {"reason": "first"}, follow=True).text
    assert "is requested; a worker does it." in page
    first = User.objects.latest("id")
    page = user_with(*permissions).post(url, {"reason": "second"}, follow=True).text
    assert f"is open already (requested), asked for by {first.username}" in page
    assert LogEntry.objects.count() == 1


def test_rebuild_breadcrumbs_link_only_what_may_be_seen(stream: str) -> None:
    url = reverse("admin:whizbang_subscription_rebuild", args=[NAME])

    def links(*permissions: str) -> list[str]:
        page = user_with(*permissions).get(url).text
        crumbs = re.search(r'class="breadcrumbs">(.*?)</(?:div|ol)>', page, re.DOTALL)
        assert crumbs is not None
        assert f"Rebuild {NAME}" in crumbs[1]
        assert "Subscriptions" in crumbs[1]
        return re.findall(r'<a href="(.*?)">', crumbs[1])

    home = [reverse("admin:index"), reverse("admin:app_list", args=["whizbang"])]
    assert links("rebuild_subscription", "view_subscription") == [*home, reverse(LIST)]
    assert links("rebuild_subscription", "view_rebuild") == home


def test_failed_rebuild_stands_beside_its_projection(stream: str) -> None:
    EventType.objects.create(name="shop.Renamed", first_position=1)
    client = user_with("view_subscription", "rebuild_subscription", "view_rebuild")
    url = reverse("admin:whizbang_subscription_rebuild", args=[NAME])
    client.post(url, {"reason": "tried out"})
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
    client.post(url, {"reason": "again"})
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


def test_paused_subscription_says_so(stream: str) -> None:
    client = user_with("view_subscription")
    assert "paused" not in client.get(reverse(LIST)).text
    Subscription.objects.filter(name=NAME).update(status="paused")
    assert "paused" in client.get(reverse(LIST)).text


def test_parked_streams_are_linked_for_those_who_may_see_them(stream: str) -> None:
    link = f"{reverse('admin:whizbang_parkedstream_changelist')}?subscription={NAME}"
    assert link not in user_with("view_subscription").get(reverse(LIST)).text
    client = user_with("view_subscription", "view_parkedstream")
    assert link in client.get(reverse(LIST)).text
    assert stream in client.get(link).text
    other = link.replace(NAME, "shop.CustomerTotals")
    assert stream not in client.get(other).text
