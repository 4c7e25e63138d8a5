"""What-if: asked for in the console, done by a worker, looked at and saved."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from tests.admin.clients import EVIL, user_with
from tests.admin.subscriptions.acting import do, hidden_of, url_of
from tests.shop.models import OrderSummary
from whizbang.models import ActionRequest, OperatorAction
from whizbang.operations.actions.rehearsals import Rehearse, RehearseOutside
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
NAME = "shop.OrderSummaries"
LIST = "admin:whizbang_admin_whatif_changelist"
MAY = ("view_whatif", "rehearse_subscription")
PERSONAL = "view_personal_data"
ASK = Rehearse(subscription=NAME, everything=True)


def a_result(**document: Any) -> ActionRequest:
    whole = {
        **dict.fromkeys(("until", "rows_made", "rows_changed", "rows_removed", "rows_same"), 0),
        **{name: {} for name in ("statements", "rows", "messages", "recorded")},
        "events": 4,
        "failed": 0,
        "events_set_aside": 0,
        "samples": [],
        "failures": [],
        **document,
    }
    found: ActionRequest = ActionRequest.objects.create(
        action="dry-run", target=f"subscription {EVIL}", status="done", document=whole, seen={},
        parameters={"subscription": NAME, "streams": [EVIL]}, requested_by=EVIL, reason=EVIL,
        result=EVIL,
    )  # fmt: skip
    return found


def result_of(found: ActionRequest) -> str:
    return reverse("admin:whizbang_admin_whatif_result", args=[found.pk])


def test_pages_need_the_view_permission() -> None:
    found = a_result()
    download = reverse("admin:whizbang_admin_whatif_download", args=[found.pk, "csv"])
    for url in (reverse(LIST), result_of(found), download):
        assert Client().get(url).status_code == 302
        assert user_with("rehearse_subscription").get(url).status_code == 403
        assert user_with("view_whatif").get(url).status_code == 200


def test_form_is_for_those_who_may_rehearse() -> None:
    assert "/do/dry-run/" not in user_with("view_whatif").get(reverse(LIST)).text
    page = user_with(*MAY).get(reverse(LIST), {"subscription": NAME}).text
    assert "/do/dry-run/" in page and f'value="{NAME}" selected' in page
    assert user_with("view_whatif").get(url_of(ASK)).status_code == 403
    assert user_with("view_whatif").post(url_of(ASK), {}).status_code == 403
    assert Client().get(url_of(ASK)).status_code == 302


def test_rehearsal_is_asked_for_and_a_worker_finds_the_differences(stream: str) -> None:
    OrderSummary.objects.filter(order_id="1").update(notes=7)
    client = user_with(*MAY)
    address = reverse("admin:whizbang_operatoraction_do", args=["dry-run"])
    url = f"{address}?subscription={NAME}&everything=on&back={reverse(LIST)}"
    page = client.get(url).text
    assert "events</th><td>2</td>" in page
    answer = client.post(url, {**hidden_of(page), "reason": ""})  # it harms nobody
    assert (answer.status_code, answer["Location"]) == (302, reverse(LIST))
    found = ActionRequest.objects.get()
    assert "waits for a worker" in client.get(reverse(LIST)).text
    assert "A worker has still to do it." in client.get(result_of(found)).text
    drain()
    page = user_with(*MAY, PERSONAL).get(result_of(found)).text
    assert '<td class="wb-new">1</td><td class="wb-old">7</td>' in page
    assert "ValueError: This note cannot be projected." in page
    assert OrderSummary.objects.get(order_id="1").notes == 7
    assert "1 changed" in client.get(reverse(LIST)).text


def test_texts_of_a_result_are_escaped() -> None:
    failure = {"kind": EVIL, "error": EVIL, "type": EVIL, "count": 1, "stream": EVIL, "version": 1}
    sample = {"key": EVIL, "change": "changed", "fields": {EVIL: [EVIL, EVIL]}}
    found = a_result(
        samples=[sample], failures=[failure], failed=1, rows={EVIL: 3}, messages={EVIL: 1}
    )
    for url in (reverse(LIST), result_of(found)):
        page = user_with(*MAY).get(url).text
        assert EVIL not in page and page.count(escape(EVIL)) >= 3
    ActionRequest.objects.update(status="failed", error=EVIL, document=None)
    page = user_with(*MAY).get(result_of(found)).text
    assert EVIL not in page and f"{escape(EVIL)}</pre>" in page


def test_differences_are_saved_as_csv_and_json() -> None:
    samples = [
        {"key": "=1+1", "change": "changed", "fields": {"notes": ["7", "1"]}},
        {"key": "2", "change": "made", "fields": {}},
    ]
    found = a_result(samples=samples)
    client = user_with("view_whatif", PERSONAL)

    def saved(format: str) -> str:
        url = reverse("admin:whizbang_admin_whatif_download", args=[found.pk, format])
        return client.get(url).getvalue().decode()

    assert saved("csv").splitlines() == [
        "key,change,field,today,recorded",
        "'=1+1,changed,notes,1,7",
        "2,made,,,",
    ]
    first = json.loads(saved("json").splitlines()[0])
    assert first == {
        "key": "=1+1", "change": "changed", "field": "notes", "today": "1", "recorded": "7",
    }  # fmt: skip
    url = reverse("admin:whizbang_admin_whatif_download", args=[found.pk, "xml"])
    assert client.get(url).status_code == 404


def test_values_of_rows_are_for_those_who_may_see_personal_data() -> None:
    sample = {"key": "secret@key", "change": "changed", "fields": {"mail": ["secret", ""]}}
    found = a_result(samples=[sample])
    request_url = reverse("admin:whizbang_actionrequest_change", args=[found.pk])
    saved_url = reverse("admin:whizbang_admin_whatif_download", args=[found.pk, "json"])
    may = ("view_whatif", "view_actionrequest")
    hidden, whole = user_with(*may), user_with(*may, PERSONAL)
    for url in (result_of(found), request_url):
        page = hidden.get(url).text
        assert "secret" not in page and "Values are hidden" in page
        page = whole.get(url).text
        assert "secret" in page and "Values are hidden" not in page
    assert json.loads(hidden.get(saved_url).getvalue()) == {
        "key": "•••", "change": "changed", "field": "mail", "today": "", "recorded": "•••",
    }  # fmt: skip


def test_requests_of_other_actions_are_not_results() -> None:
    other = ActionRequest.objects.create(
        action="heal", target="x", status="done", seen={}, parameters={}
    )
    assert user_with(*MAY).get(result_of(other)).status_code == 404


def test_rehearsal_needs_no_second_person_but_outside_effects_do(
    stream: str, settings: Any
) -> None:
    names = ["dry-run", "dry-run-outside"]
    settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": names}
    client = user_with(*MAY)
    do(client, ASK)
    do(client, RehearseOutside(subscription=NAME, everything=True))
    told = ActionRequest.objects.order_by("id").values_list("action", "status")
    assert list(told) == [("dry-run", "queued"), ("dry-run-outside", "waiting")]
    assert not OperatorAction.objects.exists()


def test_what_cannot_be_tried_is_said(stream: str) -> None:
    client = user_with(*MAY)
    answer = client.get(url_of(Rehearse(subscription="whizbang.streams", everything=True)))
    assert answer.status_code == 400 and "no code of yours" in answer.text
    answer = client.get(url_of(Rehearse(subscription=EVIL, everything=True)))
    assert answer.status_code == 400 and EVIL not in answer.text
