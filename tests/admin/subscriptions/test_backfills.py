"""Backfills in the console."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

import whizbang
from tests.admin.clients import EVIL, user_with
from tests.admin.subscriptions.acting import do, hidden_of, url_of
from whizbang.models import ActionRequest, Backfill, OperatorAction, Rebuild
from whizbang.operations.actions.backfills import CancelBackfill, RequestBackfill
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
NAME = "shop.OrderSummaries"
MAY = ("view_subscription", "backfill_subscription", "view_backfill")
ASK = RequestBackfill(subscription=NAME, everything=True, force=True)


def asking(**options: str) -> str:
    address = reverse("admin:whizbang_operatoraction_do", args=["backfill"])
    return f"{address}?{'&'.join(f'{k}={v}' for k, v in {'subscription': NAME, **options}.items())}"


def test_backfill_needs_its_permission(stream: str) -> None:
    for action in (ASK, CancelBackfill(subscription=NAME)):
        assert Client().get(url_of(action)).status_code == 302
        assert (
            user_with("view_subscription", "view_backfill").get(url_of(action)).status_code == 403
        )
        assert user_with("view_backfill").post(url_of(action), {}).status_code == 403
    assert user_with(*MAY).get(url_of(ASK)).status_code == 200


def test_which_events_are_asked_for_first(stream: str) -> None:
    client = user_with(*MAY)
    page = client.get(asking()).text
    assert 'name="everything"' in page and 'name="reason"' not in page
    assert "errorlist" not in page and "errornote" not in page
    page = client.get(asking(rate="5")).text
    assert "Say which events are meant." in page and 'name="reason"' not in page
    answer = client.get(asking(everything="on"))
    assert answer.status_code == 400 and "is_repeatable" in answer.text
    page = client.get(asking(everything="on", force="on")).text
    assert "events</th><td>2</td>" in page and "no earlier backfill tells" in page


@pytest.mark.parametrize(
    ("options", "events"),
    [
        ({"last_events": "1"}, 1),
        ({"streams": "shop.Order-1%0Ashop.Order-2"}, 2),
        ({"streams": "shop.Order-2"}, 0),
        ({"last_days": "1"}, 2),
        ({"since": "2020-01-31T12:00"}, 2),
        ({"before": "2020-01-31T12:00:00"}, 0),
        ({"after": "FIRST"}, 1),
        ({"until": "FIRST"}, 1),
    ],
)
def test_every_way_to_say_which_is_understood(
    options: dict[str, str], events: int, stream: str
) -> None:
    first = next(whizbang.event_store().driver.read_stream(stream)).position
    known = {name: value.replace("FIRST", str(first)) for name, value in options.items()}
    client, url = user_with(*MAY), asking(**known, force="on")
    page = client.get(url).text
    assert f"events</th><td>{events}</td>" in page
    form = {**hidden_of(page), "reason": "Began too late."}
    assert client.post(url, form).status_code == 302
    assert Backfill.objects.get().events == events


def test_options_that_mean_nothing_are_refused(stream: str) -> None:
    client = user_with(*MAY)
    answer = client.get(asking(everything="on", last_days="1", force="on"))
    assert answer.status_code == 400 and "leaves nothing to choose" in answer.text
    answer = client.get(asking(last_events=EVIL))
    assert answer.status_code == 200 and EVIL not in answer.text and "whole number" in answer.text


def test_backfill_is_asked_for_once_and_cancelled(stream: str) -> None:
    client, late = user_with(*MAY), user_with(*MAY)
    form = {**hidden_of(late.get(url_of(ASK)).text), "reason": "Me too."}
    page = client.get(url_of(ASK)).text
    for _ in range(2):
        client.post(url_of(ASK), {**hidden_of(page), "reason": EVIL})
    run = Backfill.objects.get()
    assert (run.requested_by, run.reason) == ("u0", EVIL)
    answer = late.post(url_of(ASK), form)
    assert answer.status_code == 409 and "open backfill was empty" in answer.text
    do(client, CancelBackfill(subscription=NAME))
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert client.get(url_of(CancelBackfill(subscription=NAME))).status_code == 400
    assert OperatorAction.objects.count() == 2


def test_page_of_a_run_tells_how_far_it_is(stream: str) -> None:
    run = Backfill.objects.create(
        subscription=NAME, scope={"streams": [EVIL], "since": None}, status="running", after=0,
        position=3, until=9, events=8, events_done=2, reason=EVIL, requested_by=EVIL, error=EVIL,
    )  # fmt: skip
    url = reverse("admin:whizbang_backfill_change", args=[run.pk])
    assert Client().get(url).status_code == 302
    assert user_with("backfill_subscription").get(url).status_code == 403
    page = user_with(*MAY).get(url).text
    assert 'value="25"' in page and "2 / 8" in page and "/do/cancel-backfill/" in page
    assert EVIL not in page and page.count(escape(EVIL)) >= 4
    assert "/do/" not in user_with("view_backfill").get(url).text
    Backfill.objects.update(status="done")
    assert "/do/" not in user_with(*MAY).get(url).text


def test_backfill_waits_for_no_rebuild(stream: str) -> None:
    Rebuild.objects.create(projection=NAME)
    answer = user_with(*MAY).get(url_of(ASK))
    assert answer.status_code == 400 and "rebuild of" in answer.text


def test_second_person_approves_a_backfill(stream: str, settings: Any) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": ["backfill"]}
    do(user_with(*MAY), RequestBackfill(subscription=NAME, last_days=2.5, force=True))
    asked = ActionRequest.objects.get()
    assert asked.parameters == {"subscription": NAME, "last_days": 2.5, "force": True}
    ben = user_with(*MAY, "approve_actionrequest")
    decide = reverse("admin:whizbang_actionrequest_decide", args=[asked.pk])
    assert ben.post(decide, {"decision": "approve", "reason": "Yes."}).status_code == 302
    assert Backfill.objects.get().requested_by == "u0"
    drain()
    assert Backfill.objects.get().status == "done"
