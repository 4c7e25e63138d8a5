"""Parked streams: who may ask for a retry, and what is written down about it."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.urls import reverse

from tests.admin.clients import user_with
from whizbang.models import ParkedStream

pytestmark = pytest.mark.django_db
LIST = "admin:whizbang_parkedstream_changelist"


def retry(*permissions: str) -> tuple[int, str]:
    data = {"action": "retry", "_selected_action": [ParkedStream.objects.get().pk]}
    client = user_with("view_parkedstream", *permissions)
    answer = client.post(reverse(LIST), data)
    return answer.status_code, client.get(reverse(LIST)).text


@pytest.mark.parametrize("permissions", [(), ("rebuild_subscription",), ("redrive_deadletter",)])
def test_retry_without_its_permission_is_refused(permissions: tuple[str, ...], stream: str) -> None:
    status, _ = retry(*permissions)
    assert status == 403
    assert not ParkedStream.objects.get().is_retry_requested
    assert not LogEntry.objects.exists()


def test_action_is_offered_to_those_who_may_run_it(stream: str) -> None:
    offer = 'value="retry"'
    assert offer not in user_with("view_parkedstream").get(reverse(LIST)).text
    client = user_with("view_parkedstream", "retry_parkedstream")
    assert offer in client.get(reverse(LIST)).text


def test_retry_is_asked_for_and_logged(stream: str) -> None:
    status, page = retry("retry_parkedstream")
    assert status == 302
    assert "1 stream will be tried again." in page
    parked = ParkedStream.objects.get()
    assert parked.is_retry_requested
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.user) == (str(parked.pk), User.objects.latest("id"))
    assert stream in entry.object_repr


def test_retry_of_a_subscription_that_is_gone_is_reported(stream: str) -> None:
    ParkedStream.objects.update(subscription="shop.Gone")
    _, page = retry("retry_parkedstream")
    assert f"Stream {stream} is not retried: No subscription" in page
    assert not ParkedStream.objects.get().is_retry_requested
    assert not LogEntry.objects.exists()


def test_page_of_a_parked_stream_leads_to_the_event_that_failed(stream: str) -> None:
    parked = ParkedStream.objects.get()
    client = user_with("view_parkedstream")
    page = client.get(reverse("admin:whizbang_parkedstream_change", args=[parked.pk])).text
    assert reverse("admin:whizbang_stream_event", args=[2, stream]) in page
    assert "cannot be projected" in page
