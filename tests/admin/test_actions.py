"""The page that does an action: who may, what it says, and that it does it once, on what was seen."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from tests.admin.clients import EVIL, user_with
from whizbang.models import ActionRequest, OperatorAction, Subscription
from whizbang.operations.actions import By, NotApprovable, approve, perform
from whizbang.operations.actions.subscriptions import Pause
from whizbang.operations.subscriptions import pause, subscription_row

pytestmark = pytest.mark.django_db
NAME = "shop.OrderSummaries"
MAY = "pause_subscription"


def page_of(name: str, **parameters: str) -> str:
    url = reverse("admin:whizbang_operatoraction_do", args=[name])
    return f"{url}?{'&'.join(f'{k}={v}' for k, v in parameters.items())}"


def sent_form(page: str, **more: str) -> dict[str, str]:
    """What a browser sends of the form on a page."""
    hidden = dict(re.findall(r'<input type="hidden" name="(token|seen)" value="([^"]*)"', page))
    hidden["seen"] = hidden["seen"].replace("&quot;", '"')
    return hidden | more


def test_each_action_needs_its_permission() -> None:
    url = page_of("pause", subscription=NAME)
    assert Client().get(url).status_code == 302
    assert user_with().get(url).status_code == 403
    assert user_with("view_subscription", "rebuild_subscription").get(url).status_code == 403
    assert user_with().post(url, {"reason": "x"}).status_code == 403
    assert user_with(MAY).get(url).status_code == 200
    assert subscription_row(NAME).status == Subscription.Status.ACTIVE


def test_looking_changes_nothing_and_doing_leaves_a_trace() -> None:
    client = user_with(MAY)
    url = page_of("pause", subscription=NAME, back="/admin/")
    page = client.get(url).text
    assert subscription_row(NAME).status == Subscription.Status.ACTIVE
    answer = client.post(url, sent_form(page, reason="Mail is down."))
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert subscription_row(NAME).status == Subscription.Status.PAUSED
    record = OperatorAction.objects.get()
    assert (record.action, record.reason, record.operator) == ("pause", "Mail is down.", "u0")
    entry = LogEntry.objects.get()
    assert entry.object_id == NAME
    assert json.loads(entry.change_message)["reason"] == "Mail is down."


def test_reason_is_asked_for() -> None:
    client, url = user_with(MAY), page_of("pause", subscription=NAME)
    page = client.post(url, sent_form(client.get(url).text, reason=" "))
    assert page.status_code == 200 and "Say why" in page.text
    assert subscription_row(NAME).status == Subscription.Status.ACTIVE


def test_double_click_acts_once() -> None:
    client, url = user_with(MAY), page_of("pause", subscription=NAME)
    form = sent_form(client.get(url).text, reason="Mail is down.")
    for _ in range(2):
        assert client.post(url, form).status_code == 302
    assert OperatorAction.objects.count() == LogEntry.objects.count() == 1


def test_what_changed_since_is_refused_with_what_changed() -> None:
    client, url = user_with(MAY), page_of("pause", subscription=NAME)
    form = sent_form(client.get(url).text, reason="Mail is down.")
    pause(NAME)
    answer = client.post(url, form)
    assert answer.status_code == 409
    assert "status was active and is paused" in answer.text
    assert "Mail is down." in answer.text  # need not be typed again
    assert not OperatorAction.objects.exists()
    assert client.post(url, sent_form(answer.text, reason="Anyway.")).status_code == 302


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"]
)
def test_way_back_stays_on_this_site(back: str) -> None:
    client, url = user_with(MAY), page_of("pause", subscription=NAME, back=back)
    page = client.get(url).text
    assert f'href="{back}' not in page
    answer = client.post(url, sent_form(page, reason="x"))
    assert answer["Location"] == reverse("admin:whizbang_operatoraction_changelist")


def test_what_is_wrong_is_said_and_escaped() -> None:
    client = user_with(MAY)
    answer = client.get(page_of("pause", subscription=EVIL))
    assert answer.status_code == 400
    assert EVIL not in answer.text and escape(EVIL) in answer.text
    assert client.get(page_of("blow-up")).status_code == 404
    assert client.get(page_of("pause", subscription=NAME, more="1")).status_code == 404


def test_forged_form_is_refused() -> None:
    strict = Client(enforce_csrf_checks=True)
    client, url = user_with(MAY), page_of("pause", subscription=NAME)
    strict.cookies = client.cookies
    assert strict.post(url, sent_form(client.get(url).text, reason="x")).status_code == 403


class TestTwoPeople:
    @pytest.fixture(autouse=True)
    def _four_eyes(self, settings: Any) -> None:
        settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": ["pause"]}

    def test_one_asks_and_another_decides(self) -> None:
        anna, url = user_with(MAY, "approve_actionrequest"), page_of("pause", subscription=NAME)
        page = anna.get(url).text
        assert "needs two people" in page
        anna.post(url, sent_form(page, reason="Mail is down."))
        request = ActionRequest.objects.get()
        decide = reverse("admin:whizbang_actionrequest_decide", args=[request.pk])
        own = anna.post(decide, {"decision": "approve", "reason": "Me."})
        assert own.status_code == 403
        assert user_with(MAY).get(decide).status_code == 403
        assert subscription_row(NAME).status == Subscription.Status.ACTIVE
        ben = user_with(MAY, "approve_actionrequest", "view_actionrequest")
        assert "Mail is down." in ben.get(decide).text
        ben.post(decide, {"decision": "approve", "reason": "Yes."})
        assert subscription_row(NAME).status == Subscription.Status.PAUSED

    @pytest.mark.parametrize("name", ["U0", " u0", "ｕ0", "command line (u0)"])
    def test_another_spelling_of_a_name_is_no_second_person(self, name: str) -> None:
        request = perform(Pause(subscription=NAME), By(name, "Mail is down.")).request
        assert request is not None
        decide = reverse("admin:whizbang_actionrequest_decide", args=[request.pk])
        anna = user_with(MAY, "approve_actionrequest")
        assert anna.post(decide, {"decision": "approve", "reason": "x"}).status_code == 403
        with pytest.raises(NotApprovable):
            approve(request.pk, By("u0", "Me."))
        assert anna.post(decide, {"decision": "withdraw", "reason": "x"}).status_code == 302

    def test_name_that_is_cut_to_fit_is_no_second_person(self) -> None:
        name = "a" * 200
        request = perform(Pause(subscription=NAME), By(name, "Mail is down.")).request
        assert request is not None
        with pytest.raises(NotApprovable):
            approve(request.pk, By(name, "Me."))

    def test_who_may_not_do_it_may_not_approve_it(self) -> None:
        request = perform(Pause(subscription=NAME), By("anna", "Mail is down.")).request
        assert request is not None
        decide = reverse("admin:whizbang_actionrequest_decide", args=[request.pk])
        ben = user_with("approve_actionrequest")
        assert ben.post(decide, {"decision": "approve", "reason": "Yes."}).status_code == 403
        assert ben.post(decide, {"decision": "refuse", "reason": "No."}).status_code == 302
        request.refresh_from_db()
        assert request.status == ActionRequest.Status.REFUSED
