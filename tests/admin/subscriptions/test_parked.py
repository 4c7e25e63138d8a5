"""Parked streams: what their pages tell, who may do what about them, and what is written down."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

import whizbang
from tests.admin.clients import EVIL, user_with
from tests.admin.subscriptions.acting import do, hidden_of, url_of
from tests.shop.messages import OrderNoted
from tests.shop.models import OrderSummary
from whizbang.models import (
    ActionRequest,
    EditedEvent,
    OperatorAction,
    ParkedStream,
    SkippedEvent,
)
from whizbang.operations.actions.parked import (
    DiscardEdit,
    Heal,
    Park,
    Retry,
    RetrySelected,
    Skip,
)
from whizbang.testing import drain
from whizbang_admin.frame import documents

pytestmark = pytest.mark.django_db
LIST = "admin:whizbang_parkedstream_changelist"
NAME = "shop.OrderSummaries"
EDIT = ("view_parkedstream", "edit_parkedstream")


def page_of(client: Client) -> str:
    pk = ParkedStream.objects.get().pk
    return client.get(reverse("admin:whizbang_parkedstream_change", args=[pk])).text


def edit_url() -> str:
    return reverse("admin:whizbang_parkedstream_edit", args=[ParkedStream.objects.get().pk])


# The list


def choose(*permissions: str) -> Any:
    data = {"action": "retry", "_selected_action": [ParkedStream.objects.get().pk]}
    client = user_with("view_parkedstream", *permissions)
    return client, client.post(reverse(LIST), data)


@pytest.mark.parametrize("permissions", [(), ("rebuild_subscription",), ("redrive_deadletter",)])
def test_retry_without_its_permission_is_refused(permissions: tuple[str, ...], stream: str) -> None:
    _, answer = choose(*permissions)
    assert answer.status_code == 403
    assert not ParkedStream.objects.get().is_retry_requested
    assert not LogEntry.objects.exists()


def test_list_says_of_which_error(stream: str) -> None:
    ParkedStream.objects.update(error=f"ZeroDivisionError: {EVIL}")
    page = user_with("view_parkedstream").get(reverse(LIST)).text
    assert '<td class="field-reason">ZeroDivisionError</td>' in page


def test_page_leads_to_the_stream_for_those_who_may_see_it(stream: str) -> None:
    timeline = reverse("admin:whizbang_stream_timeline", args=[stream])
    assert f'"{timeline}"' not in page_of(user_with("view_parkedstream"))
    assert f'"{timeline}"' in page_of(user_with("view_parkedstream", "view_stream"))


def test_action_is_offered_to_those_who_may_run_it(stream: str) -> None:
    offer = 'value="retry"'
    assert offer not in user_with("view_parkedstream").get(reverse(LIST)).text
    client = user_with("view_parkedstream", "retry_parkedstream")
    assert offer in client.get(reverse(LIST)).text


def test_chosen_ones_are_retried_with_a_reason_and_logged(stream: str) -> None:
    client, answer = choose("retry_parkedstream")
    assert answer.status_code == 302
    assert not ParkedStream.objects.get().is_retry_requested
    page = client.get(answer["Location"]).text
    assert stream in page and "This note cannot be projected." in page
    client.post(answer["Location"], {**hidden_of(page), "reason": "Mended."})
    assert ParkedStream.objects.get().is_retry_requested
    record = OperatorAction.objects.get()
    assert (record.action, record.reason) == ("retry-selected", "Mended.")
    assert "Mended." in LogEntry.objects.get().change_message


def test_retry_of_a_subscription_that_is_gone_is_reported(stream: str) -> None:
    ParkedStream.objects.update(subscription="shop.Gone")
    client, answer = choose("retry_parkedstream")
    answer = client.get(answer["Location"])
    assert answer.status_code == 400 and "No subscription" in answer.text


def test_numbers_that_are_none_are_refused(stream: str) -> None:
    client = user_with("retry_parkedstream")
    assert client.get(url_of(RetrySelected(ids="1,x"))).status_code == 400
    assert client.get(url_of(RetrySelected(ids="0"))).status_code == 400


# The page of one


def test_page_needs_the_view_permission(stream: str) -> None:
    url = reverse("admin:whizbang_parkedstream_change", args=[ParkedStream.objects.get().pk])
    assert Client().get(url).status_code == 302
    assert user_with("retry_parkedstream").get(url).status_code == 403
    assert user_with("view_parkedstream").get(url).status_code == 200
    gone = reverse("admin:whizbang_parkedstream_change", args=[0])
    assert user_with("view_parkedstream").get(gone).status_code == 404


def test_page_leads_to_the_event_that_failed(stream: str) -> None:
    page = page_of(user_with("view_parkedstream"))
    assert reverse("admin:whizbang_stream_event", args=[2, stream]) in page
    assert "cannot be projected" in page


def test_data_of_the_event_is_for_those_who_may_see_streams(stream: str) -> None:
    assert "poison" not in page_of(user_with("view_parkedstream")).replace("poisoned", "")
    assert "poison" in page_of(user_with("view_parkedstream", "view_stream"))


def test_actions_are_offered_to_those_who_may(stream: str) -> None:
    what = {"subscription": NAME, "stream": stream}
    offers = {
        "retry_parkedstream": "/do/retry/",
        "skip_parkedstream": "/do/skip/",
        "heal_subscription": "/do/heal/",
        "edit_parkedstream": edit_url(),
    }
    for permission, address in offers.items():
        assert address in page_of(user_with("view_parkedstream", permission))
        assert address not in page_of(user_with("view_parkedstream"))
    for action in (Retry(**what), Skip(**what), Heal(**what), Park(**what)):
        url = url_of(action)
        assert Client().get(url).status_code == 302
        assert user_with("view_parkedstream").get(url).status_code == 403
        may = action.permission.partition(".")[2]
        expected = 400 if isinstance(action, Park) else 200  # it is parked already
        assert user_with(may).get(url).status_code == expected


def test_texts_of_a_parked_stream_are_escaped(stream: str) -> None:
    row = {"subscription": NAME, "position": 1, "version": 1, "type": EVIL, "error": EVIL}
    parked = ParkedStream.objects.create(
        stream=f"shop.{EVIL}", unit="key", key=EVIL, traceback=EVIL, **row
    )
    url = reverse("admin:whizbang_parkedstream_change", args=[parked.pk])
    everything = user_with("view_parkedstream", "view_stream", "retry_parkedstream")
    page = everything.get(url).text
    assert EVIL not in page and page.count(escape(EVIL)) >= 5
    page = user_with("retry_parkedstream").get(url_of(Retry(subscription=NAME, key=EVIL))).text
    assert EVIL not in page and escape(EVIL) in page


def test_action_on_its_page_leads_to_the_list_for_the_page_goes(stream: str) -> None:
    client = user_with("view_parkedstream", "skip_parkedstream")
    parked = ParkedStream.objects.get()
    url = reverse("admin:whizbang_parkedstream_change", args=[parked.pk])
    page = client.get(url).text
    offered = re.search(r'href="([^"]*/do/skip/[^"]*)"', page)
    assert offered is not None
    action = unescape(offered[1])
    sent = client.post(action, {**hidden_of(client.get(action).text), "reason": "A typo."})
    assert sent.status_code == 302
    assert sent["Location"] == reverse("admin:whizbang_parkedstream_changelist")


def test_skip_asks_why_and_what_it_left_out_is_kept(stream: str) -> None:
    client = user_with("view_parkedstream", "skip_parkedstream")
    assert do(client, Skip(subscription=NAME, stream=stream), reason=EVIL).status_code == 302
    skipped = SkippedEvent.objects.get()
    assert (skipped.reason, skipped.version) == (EVIL, 2)
    record = OperatorAction.objects.get()
    assert record.target == f"subscription {NAME} stream {stream}"
    viewer = user_with("view_subscription", "view_skippedevent", "view_operatoraction")
    page = viewer.get(reverse("admin:whizbang_subscription_change", args=[NAME])).text
    assert EVIL not in page and escape(EVIL) in page


def test_stream_that_failed_again_meanwhile_is_not_skipped(stream: str) -> None:
    client = user_with("skip_parkedstream")
    action = Skip(subscription=NAME, stream=stream)
    page = client.get(url_of(action)).text
    ParkedStream.objects.update(attempts=2)
    answer = client.post(url_of(action), {**hidden_of(page), "reason": "A typo."})
    assert answer.status_code == 409
    assert "attempts 1 and is version 2" in answer.text
    assert not SkippedEvent.objects.exists()


def test_stream_is_parked_by_hand_until_it_is_retried(stream: str) -> None:
    other = "shop.Order-2"
    client = user_with("pause_subscription", "retry_parkedstream", "view_parkedstream")
    assert do(client, Park(subscription=NAME, stream=other), reason=EVIL).status_code == 302
    parked = ParkedStream.objects.get(stream=other)
    url = reverse("admin:whizbang_parkedstream_change", args=[parked.pk])
    page = client.get(url).text
    assert "parked by hand" in page and EVIL not in page and escape(EVIL) in page
    assert "/do/skip/" not in page
    whizbang.event_store().append(other, [OrderNoted(order_id="2", text="a")])
    drain()
    assert not OrderSummary.objects.filter(order_id="2").exists()
    do(client, Retry(subscription=NAME, stream=other))
    drain()
    assert OrderSummary.objects.get(order_id="2").notes == 1


def test_heal_is_done_by_a_worker(stream: str) -> None:
    OrderSummary.objects.filter(order_id="1").update(notes=7)
    SkippedEvent.objects.create(
        subscription=NAME, stream=stream, position=ParkedStream.objects.get().position,
        version=2, type="shop.OrderNoted", error="", reason="A typo.",
    )  # fmt: skip
    client = user_with("heal_subscription")
    assert do(client, Heal(subscription=NAME, stream=stream)).status_code == 302
    assert OrderSummary.objects.get(order_id="1").notes == 7
    drain()
    assert ActionRequest.objects.get().status == "done"
    assert OrderSummary.objects.get(order_id="1").notes == 1
    assert not ParkedStream.objects.exists()


# An edited copy


def test_edit_needs_its_permission_and_that_to_view(stream: str) -> None:
    url = edit_url()
    assert Client().get(url).status_code == 302
    assert user_with("view_parkedstream").get(url).status_code == 403
    assert user_with("edit_parkedstream").get(url).status_code == 403
    assert user_with("view_parkedstream").post(url, {}).status_code == 403
    assert user_with(*EDIT).get(url).status_code == 200


def test_edit_shows_the_difference_before_it_is_saved(stream: str) -> None:
    client, url = user_with(*EDIT), edit_url()
    page = client.get(url).text
    assert "&quot;poison&quot;" in page
    form = {**hidden_of(page), "payload": payload(text=EVIL), "reason": EVIL}
    asking = client.post(url, form).text
    assert EVIL not in asking and escape(EVIL) in asking
    assert "wb-removed" in asking and "wb-added" in asking
    assert not EditedEvent.objects.exists()
    sent = {**hidden_of(asking), "reason": EVIL, "confirmed": "1"}
    assert client.post(url, sent).status_code == 302
    edit = EditedEvent.objects.get()
    assert (edit.reason, edit.version) == (EVIL, 2)
    record = OperatorAction.objects.get()
    assert record.action == "edit" and "payload" not in record.parameters
    assert "Edited copy" in LogEntry.objects.get().change_message
    assert client.post(url, sent).status_code == 302  # sent twice
    assert OperatorAction.objects.count() == LogEntry.objects.count() == 1
    drain()
    assert OrderSummary.objects.get(order_id="1").notes == 2
    assert not ParkedStream.objects.exists()
    assert client.get(url).status_code == 404


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "This is no JSON"),
        ('{"order_id": "1", "txt": ""}', "has no field txt"),
        ("[]", "list"),
    ],
)
def test_edit_that_is_not_of_the_type_is_refused(text: str, said: str, stream: str) -> None:
    client, url = user_with(*EDIT), edit_url()
    form = {**hidden_of(client.get(url).text), "payload": text, "reason": "A typo."}
    answer = client.post(url, {**form, "confirmed": "1"})
    assert answer.status_code == 200 and said in answer.text
    assert not EditedEvent.objects.exists()


def test_edit_of_what_changed_meanwhile_is_refused(stream: str) -> None:
    client, url = user_with(*EDIT), edit_url()
    form = {**hidden_of(client.get(url).text), "payload": payload(), "reason": "A typo."}
    ParkedStream.objects.update(attempts=5)
    answer = client.post(url, {**form, "confirmed": "1"})
    assert answer.status_code == 409 and "has changed since you looked" in answer.text
    assert "mended" in answer.text and "A typo." in answer.text  # need not be typed again
    assert not EditedEvent.objects.exists()


def test_edit_is_refused_where_two_people_are_needed(stream: str, settings: Any) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": ["edit"]}
    client, url = user_with(*EDIT), edit_url()
    form = {**hidden_of(client.get(url).text), "payload": payload(), "reason": "A typo."}
    page = client.post(url, {**form, "confirmed": "1"}, follow=True).text
    assert "FOUR_EYES names" in page
    assert not EditedEvent.objects.exists()


def test_edited_copy_is_discarded(stream: str) -> None:
    EditedEvent.objects.create(
        subscription=NAME, position=2, stream=stream, version=2, type="shop.OrderNoted", schema=1,
        payload=b"{}", reason="A typo.",
    )  # fmt: skip
    action = DiscardEdit(subscription=NAME, stream=stream, version=2)
    assert user_with("view_parkedstream").get(url_of(action)).status_code == 403
    assert do(user_with("edit_parkedstream"), action).status_code == 302
    assert not EditedEvent.objects.exists()


def payload(text: str = "mended") -> str:
    return json.dumps({"order_id": "1", "text": text})


def test_page_of_an_edited_copy_offers_to_discard_it(stream: str) -> None:
    serializer = whizbang.event_store().serializer
    edit = EditedEvent.objects.create(
        subscription=NAME, position=2, stream=stream, version=2, type="shop.OrderNoted", schema=1,
        payload=serializer.encode({"order_id": "1", "text": EVIL}), reason=EVIL, edited_by=EVIL,
    )  # fmt: skip
    url = reverse("admin:whizbang_editedevent_change", args=[edit.pk])
    assert Client().get(url).status_code == 302
    assert user_with("edit_parkedstream").get(url).status_code == 403
    page = user_with("view_editedevent", "edit_parkedstream").get(url).text
    assert EVIL not in page and page.count(escape(EVIL)) == 3 and "/do/discard-edit/" in page
    assert "/do/" not in user_with("view_editedevent").get(url).text


class TestPersonalFields:
    @pytest.fixture(autouse=True)
    def _are_all_of_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(documents, "has_personal_data", lambda type: True)
        monkeypatch.setattr(documents, "mask_payload", lambda type, plain: {"masked": True})

    def test_they_are_masked_for_who_may_not_see_them(self, stream: str) -> None:
        page = page_of(user_with("view_parkedstream", "view_stream"))
        assert "poison" not in page and "Personal fields are masked." in page
        page = page_of(user_with("view_parkedstream", "view_stream", "view_personal_data"))
        assert "poison" in page

    def test_who_may_not_see_them_may_not_edit_a_copy(self, stream: str) -> None:
        client = user_with(*EDIT)
        assert edit_url() not in page_of(client)
        assert client.get(edit_url()).status_code == 403
        assert user_with(*EDIT, "view_personal_data").get(edit_url()).status_code == 200
