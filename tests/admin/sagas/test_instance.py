"""The page of one instance: its story, its state, what stands in its way, and its picture."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.admin.clients import EVIL, user_with
from tests.admin.sagas.conftest import page_of
from tests.sagas.steering import SAGA, begin, note, saga
from tests.trips.sagas import TripBooking
from whizbang.models import SagaInstance
from whizbang.operations.actions import By, perform
from whizbang.operations.actions.sagas import ReplaySaga
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
VIEW = ("view_sagainstance", "view_stream", "view_inboxmessage", "view_deadletter")


def test_page_needs_its_permission(waiting: str) -> None:
    url = page_of(waiting)
    assert Client().get(url).status_code == 302
    assert user_with().get(url).status_code == 403
    assert user_with("view_sagatimeout", "retry_sagainstance").get(url).status_code == 403
    assert user_with("view_sagainstance").get(url).status_code == 200


def test_story_tells_causes_commands_and_what_became_of_them(waiting: str) -> None:
    page = user_with(*VIEW).get(page_of(waiting)).text
    assert "requested() on trips.TripRequested" in page
    assert "sent <strong>trips.ReserveSeat</strong>" in page and "handled, default" in page
    assert re.search(r"led to <a href=[^>]*>trips\.SeatReserved</a>", page)
    assert "waits for <strong>unpaid</strong>" in page and "still waiting" in page
    assert "to undo it: trips.ReleaseSeat" in page
    assert "ms after the step before" in page
    event = reverse("admin:whizbang_stream_event", args=[1, "trips.Trip-1"])
    assert event in page


def test_page_links_only_where_its_reader_may_go(waiting: str) -> None:
    page = user_with("view_sagainstance").get(page_of(waiting)).text
    assert "trips.SeatReserved" in page
    assert "/stream/" not in page and "/inboxmessage/" not in page


def test_each_step_shows_what_it_changed_also_the_first_of_a_page(waiting: str) -> None:
    for number in range(12):
        note(f"note {number}")
    client = user_with(*VIEW)
    page = client.get(page_of(waiting)).text
    assert "Steps 10 to 15 of 15" in page and 'href="?after=0"' in page
    first = page.partition('id="v10"')[2].partition("</li>")[0]
    before, now = re.findall(r"<code[^>]*>(.*?)</code>", first, re.DOTALL)
    assert "note 5" in before and "note 6" not in before and "note 6" in now
    page = client.get(page_of(waiting), {"after": "5"}).text
    assert "Steps 6 to 11 of 15" in page
    page = client.get(page_of(waiting), {"after": "0"}).text
    assert "Steps 1 to 6 of 15" in page and 'href="?after=6"' in page
    for after in ("x", "-1", str(2**31)):
        assert client.get(page_of(waiting), {"after": after}).status_code == 404
    assert "No later steps" in client.get(page_of(waiting), {"after": "99"}).text


def test_evil_texts_are_shown_as_texts(evil: str) -> None:
    client = user_with(*VIEW, "retry_sagainstance", "skip_sagainstance", "view_operatoraction")
    saga("skip", SAGA, evil, "--timeout", "unpaid", "--reason", f"reason {EVIL}")
    page = client.get(page_of(evil)).text
    assert EVIL not in page
    for text in ("k", "fine ", "break ", "reason "):
        assert f"{text}&lt;script&gt;" in page
    assert "Traceback" in page and "It stands at a step that failed" in page


def test_failed_timeout_is_shown_with_why(evil: str) -> None:
    page = user_with(*VIEW).get(page_of(evil)).text
    assert "late &lt;script&gt;" in page and EVIL not in page


def test_diagram_marks_what_the_instance_has_met(waiting: str) -> None:
    page = user_with("view_sagainstance").get(page_of(waiting)).text
    drawn = page.partition('class="whizbang-saga"')[2].partition("</svg>")[0]
    assert "✓ requested()" in drawn and "✓ send trips.ReserveSeat" in drawn
    assert "✓ wait for unpaid" in drawn and "✓ trips.SeatReserved" in drawn
    assert "✓ charged()" not in drawn and "charged()" in drawn
    assert "✓ complete" not in drawn
    assert " style=" not in drawn and "<style" not in drawn
    assert "flowchart LR" in page
    assert "<strong>✓ requested()</strong>" in page
    begin("2", price=10)
    done = user_with("view_sagainstance").get(page_of("2")).text
    assert "✓ complete" in done and "✓ stop waiting for unpaid" in done


def test_diagram_alone_marks_nothing() -> None:
    client = user_with("view_sagainstance")
    page = client.get(reverse("admin:whizbang_sagainstance_diagram", args=[quote(SAGA)])).text
    assert "<svg" in page and "✓" not in page
    gone = reverse("admin:whizbang_sagainstance_diagram", args=["trips.None"])
    assert client.get(gone).status_code == 404


def test_instance_that_is_not_there_is_not_found() -> None:
    client = user_with("view_sagainstance")
    for key in ("none", "x\0", EVIL):
        answer = client.get(page_of(key))
        assert answer.status_code == 404 and EVIL not in answer.text
    other = reverse("admin:whizbang_sagainstance_change", args=["nothing"])
    assert client.get(other).status_code == 404


def test_instance_whose_row_was_cleaned_up_is_told_by_its_stream(waiting: str) -> None:
    SagaInstance.objects.all().delete()
    page = user_with("view_sagainstance").get(page_of(waiting)).text
    assert "requested() on trips.TripRequested" in page


def test_instance_whose_class_is_gone_leads_to_its_events(waiting: str) -> None:
    SagaInstance.objects.update(saga="trips.Gone", stream="trips.Gone-1")
    url = reverse("admin:whizbang_sagainstance_change", args=["trips.Gone-1"])
    page = user_with(*VIEW).get(url)
    assert page.status_code == 200 and "The code has no saga trips.Gone any more" in page.text


def test_replay_check_is_shown_with_what_differs(
    waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reserved(self: TripBooking, event: Any) -> None:
        self.notes.append(EVIL)

    perform(ReplaySaga(saga=SAGA, key=waiting), By("anna", "deploy"))
    client = user_with("view_sagainstance")
    assert "A worker does it" in client.get(page_of(waiting)).text
    monkeypatch.setattr(TripBooking, "reserved", reserved)
    drain()
    page = client.get(page_of(waiting)).text
    assert "1 of 2 steps differ, the first at version 3." in page
    assert "trips.ChargeCard" in page and "trips.SeatReserved" in page
    assert EVIL not in page


def test_what_operators_did_is_shown(waiting: str) -> None:
    saga("cancel", SAGA, waiting, "--reason", "Customer called.")
    page = user_with(*VIEW, "view_operatoraction").get(page_of(waiting)).text
    assert "cancel-saga" in page and page.count("Customer called.") >= 2  # and in the story
    assert "What operators did" not in user_with(*VIEW).get(page_of(waiting)).text


def test_page_costs_few_statements_however_long_the_story(waiting: str) -> None:
    for number in range(15):
        note(f"note {number}")
    client = user_with(*VIEW, "view_operatoraction", "view_actionrequest", "cancel_sagainstance")
    with CaptureQueriesContext(connection) as captured:
        client.get(page_of(waiting))
    assert len(captured) <= 25
