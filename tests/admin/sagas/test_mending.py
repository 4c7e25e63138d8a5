"""Mending sagas in the console: who may, what is said before, and that it is done once, on what was seen."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from tests.admin.clients import EVIL, user_with
from tests.admin.sagas.conftest import page_of
from tests.admin.test_actions import sent_form
from tests.sagas.steering import SAGA, note
from whizbang.models import ActionRequest, OperatorAction, ParkedStream, SagaInstance, SagaTimeout
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
PERMISSIONS = {
    "retry-saga": "retry_sagainstance",
    "skip-saga": "skip_sagainstance",
    "cancel-saga": "cancel_sagainstance",
    "fire-timeout-now": "retry_sagainstance",
    "replay-saga": "retry_sagainstance",
}


def action_url(name: str, **parameters: str) -> str:
    url = reverse("admin:whizbang_operatoraction_do", args=[name])
    return f"{url}?{urlencode({'saga': SAGA, 'key': '1', **parameters})}"


def status() -> str:
    return SagaInstance.objects.get().status


@pytest.mark.parametrize("name", PERMISSIONS)
def test_each_action_needs_its_permission(name: str, waiting: str) -> None:
    note("break")
    more = {"timeout": "unpaid"} if name == "fire-timeout-now" else {}
    url = action_url(name, **more)
    others = [p for p in {*PERMISSIONS.values(), "view_sagainstance"} if p != PERMISSIONS[name]]
    assert Client().get(url).status_code == 302
    assert user_with(*others).get(url).status_code == 403
    assert user_with(*others).post(url, {"reason": "x"}).status_code == 403
    assert user_with(PERMISSIONS[name]).get(url).status_code == 200
    assert not OperatorAction.objects.exists() and status() == "open"


def test_page_offers_what_its_reader_may_do(waiting: str) -> None:
    note("break")
    viewer = user_with("view_sagainstance").get(page_of("1")).text
    assert "/do/" not in viewer
    page = user_with("view_sagainstance", *PERMISSIONS.values()).get(page_of("1")).text
    assert all(f"/do/{name}/" in page for name in PERMISSIONS)


def test_failed_step_is_tried_again_and_skipped(waiting: str) -> None:
    note("break")
    client = user_with(*PERMISSIONS.values())
    page = client.get(action_url("retry-saga")).text
    assert "trips.TripNoted at position" in page
    client.post(action_url("retry-saga"), sent_form(page, reason="mended"))
    assert ParkedStream.objects.get().is_retry_requested
    drain()
    page = client.get(action_url("skip-saga")).text
    client.post(action_url("skip-saga"), sent_form(page, reason="A typo."))
    drain()
    assert not ParkedStream.objects.exists()
    assert [row.action for row in OperatorAction.objects.order_by("pk")] == [
        "retry-saga",
        "skip-saga",
    ]
    logged = {(entry.object_id, entry.object_repr) for entry in LogEntry.objects.all()}
    assert logged == {(f"{SAGA}-1", f"{SAGA}-1")}


def test_cancel_says_what_is_sent_and_does_it_once(waiting: str) -> None:
    client, url = user_with("cancel_sagainstance"), action_url("cancel-saga", back=page_of("1"))
    page = client.get(url).text
    assert "trips.ReleaseSeat" in page and "unpaid" in page and status() == "open"
    form = sent_form(page, reason=f"Customer {EVIL}")
    for _ in range(2):  # a double click
        answer = client.post(url, form)
        assert (answer.status_code, answer["Location"]) == (302, page_of("1"))
    assert status() == "cancelled"
    assert OperatorAction.objects.count() == LogEntry.objects.count() == 1
    seen = user_with("view_sagainstance").get(page_of("1")).text
    assert "Customer &lt;script&gt;" in seen and EVIL not in seen


def test_steps_stay_where_that_is_chosen(waiting: str) -> None:
    client, url = (
        user_with("cancel_sagainstance"),
        action_url("cancel-saga", is_compensated="false"),
    )
    page = client.get(url).text
    assert "trips.ReleaseSeat" not in page
    client.post(url, sent_form(page, reason="x"))
    assert OperatorAction.objects.get().parameters["is_compensated"] is False


def test_timeout_is_fired_now(waiting: str) -> None:
    client = user_with("retry_sagainstance")
    url = action_url("fire-timeout-now", timeout="unpaid")
    client.post(url, sent_form(client.get(url).text, reason="Bankrupt."))
    assert SagaInstance.objects.get().next_timeout_at == SagaTimeout.objects.get().due_at
    drain()
    assert status() == "failed"


def test_instance_that_has_gone_on_is_not_cancelled(waiting: str) -> None:
    client, url = user_with("cancel_sagainstance"), action_url("cancel-saga")
    form = sent_form(client.get(url).text, reason="Customer called.")
    note("fine")
    answer = client.post(url, form)
    assert answer.status_code == 409
    assert "version was 3 and is 4" in answer.text and "Customer called." in answer.text
    assert status() == "open" and not OperatorAction.objects.exists()


def test_of_two_operators_the_second_is_told(waiting: str) -> None:
    note("break")
    anna, ben = user_with("skip_sagainstance"), user_with("cancel_sagainstance")
    skip, cancel = action_url("skip-saga"), action_url("cancel-saga")
    annas = sent_form(anna.get(skip).text, reason="skip")
    bens = sent_form(ben.get(cancel).text, reason="cancel")
    assert ben.post(cancel, bens).status_code == 302
    answer = anna.post(skip, annas)
    assert answer.status_code in (400, 409) and status() == "cancelled"
    assert OperatorAction.objects.count() == 1


def test_what_cannot_be_done_is_said(waiting: str) -> None:
    client = user_with(*PERMISSIONS.values())
    for url in (
        action_url("retry-saga"),
        action_url("cancel-saga", key=EVIL),
        action_url("skip-saga", saga=EVIL),
        action_url("fire-timeout-now", timeout=EVIL),
    ):
        answer = client.get(url)
        assert answer.status_code == 400, url
        assert EVIL not in answer.text
    assert client.get(action_url("retry-saga", key="1\0")).status_code == 404


def test_cancel_takes_two_people_where_settings_say_so(waiting: str, settings: Any) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": ["cancel-saga"]}
    anna, url = user_with("cancel_sagainstance"), action_url("cancel-saga")
    anna.post(url, sent_form(anna.get(url).text, reason="Customer called."))
    asked = ActionRequest.objects.get()
    assert status() == "open"
    decide = reverse("admin:whizbang_actionrequest_decide", args=[asked.pk])
    ben = user_with("cancel_sagainstance", "approve_actionrequest")
    assert "trips.ReleaseSeat" in ben.get(decide).text
    ben.post(decide, {"decision": "approve", "reason": "Yes."})
    assert status() == "cancelled"
    page = user_with("view_sagainstance", "view_operatoraction").get(page_of("1")).text
    assert "Customer called." in page
