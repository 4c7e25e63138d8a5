"""Rebuilds in the console: asked for once, looked at, published, cancelled, by two people where settings say so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from tests.admin.clients import EVIL, user_with
from tests.admin.subscriptions.acting import do, hidden_of, url_of
from tests.shop.models import OrderSummary
from whizbang.models import ActionRequest, OperatorAction, Rebuild
from whizbang.operations.actions.rebuilds import (
    CancelRebuild,
    DropOldRows,
    PublishRebuild,
    RebuildAction,
    RequestRebuild,
    ResumeRebuild,
    UndoRebuild,
)
from whizbang.testing import drain

pytestmark = pytest.mark.django_db
NAME = "shop.OrderSummaries"
MAY = ("view_subscription", "rebuild_subscription", "view_rebuild")
ASK = RequestRebuild(subscription=NAME)


def page_of(run: Rebuild) -> str:
    return reverse("admin:whizbang_rebuild_change", args=[run.pk])


def a_run(**values: Any) -> Rebuild:
    run: Rebuild = Rebuild.objects.create(projection=NAME, **values)
    return run


def test_rebuild_needs_its_permission_a_post_and_a_reason(stream: str) -> None:
    url = url_of(ASK)
    assert Client().get(url).status_code == 302
    assert user_with("view_subscription").get(url).status_code == 403
    client = user_with(*MAY)
    assert client.get(url).status_code == 200
    assert client.post(url).status_code == 200
    assert not Rebuild.objects.exists()
    assert do(client, ASK, reason="tried out").status_code == 302
    run, user = Rebuild.objects.get(), User.objects.latest("id")
    assert (run.projection, run.reason, run.requested_by) == (NAME, "tried out", user.username)
    entry = LogEntry.objects.get(object_id=NAME)
    assert entry.user == user
    assert "tried out" in entry.change_message


def test_double_click_starts_one_rebuild(stream: str) -> None:
    client = user_with(*MAY)
    form = {**hidden_of(client.get(url_of(ASK)).text), "reason": "tried out"}
    for _ in range(2):
        assert client.post(url_of(ASK), form).status_code == 302
    assert (
        Rebuild.objects.count() == OperatorAction.objects.count() == LogEntry.objects.count() == 1
    )


def test_second_operator_is_told_who_asked_first(stream: str) -> None:
    anna, ben = user_with(*MAY), user_with(*MAY)
    form = {**hidden_of(ben.get(url_of(ASK)).text), "reason": "me too"}
    do(anna, ASK)
    answer = ben.post(url_of(ASK), form)
    assert answer.status_code == 409
    assert "open rebuild was empty and is" in answer.text
    assert "asked for by u0: nothing is added" in answer.text
    assert Rebuild.objects.count() == 1


def test_page_says_in_numbers_what_will_happen(stream: str) -> None:
    page = user_with(*MAY).get(url_of(ASK)).text
    assert "events to read</th><td>2</td>" in page
    assert f"rows there now</th><td>{OrderSummary.objects.count()}</td>" in page
    assert "open already" not in page
    assert "unknown: it was never rebuilt" in page


@pytest.mark.parametrize("name", ["shop.Nothing", EVIL])
def test_rebuild_of_an_unknown_projection_is_refused(name: str, stream: str) -> None:
    answer = user_with(*MAY).get(url_of(RequestRebuild(subscription=name)))
    assert answer.status_code == 400
    assert "No projection" in answer.text and EVIL not in answer.text


@pytest.mark.parametrize("kind", RebuildAction.__subclasses__())
def test_each_action_needs_the_permission(kind: type[RebuildAction], stream: str) -> None:
    url = url_of(kind(subscription=NAME))
    assert user_with("view_subscription", "view_rebuild").get(url).status_code == 403
    assert user_with("view_subscription").post(url, {"reason": "x"}).status_code == 403
    assert Client().post(url, {"reason": "x"}).status_code == 302


@pytest.mark.parametrize(
    "kind", [CancelRebuild, PublishRebuild, ResumeRebuild, UndoRebuild, DropOldRows]
)
def test_what_cannot_be_done_is_said(kind: type[RebuildAction], stream: str) -> None:
    answer = user_with(*MAY).get(url_of(kind(subscription=NAME)))
    assert answer.status_code == 400
    assert "o re" in answer.text or "No rows" in answer.text


def test_options_are_checked_before_anything_is_asked_for(stream: str) -> None:
    client = user_with(*MAY)
    answer = client.get(url_of(RequestRebuild(subscription=NAME, shares=2)))
    assert answer.status_code == 400 and "partition_by" in answer.text
    answer = client.get(url_of(ASK) + "&method=quick")
    assert answer.status_code == 200 and "Select a valid choice" in answer.text


# The page of a run


def test_page_of_a_run_needs_the_view_permission(stream: str) -> None:
    url = page_of(a_run())
    assert Client().get(url).status_code == 302
    assert user_with("rebuild_subscription").get(url).status_code == 403
    assert user_with("view_rebuild").get(url).status_code == 200


def test_page_shows_progress_and_what_can_be_done(stream: str) -> None:
    run = a_run(
        status="running", phase="catching_up", target=200, position=50, events=70, reason=EVIL,
        requested_by=EVIL, is_held=True,
    )  # fmt: skip
    page = user_with(*MAY).get(page_of(run)).text
    assert 'value="25"' in page and "catching up" in page and "70 events" in page
    assert 'data-wb-live="run"' in page
    assert "/do/swap/" in page and "/do/cancel-rebuild/" in page
    assert EVIL not in page and escape(EVIL) in page
    watching = user_with("view_rebuild").get(page_of(run)).text
    assert "/do/" not in watching


def test_only_the_last_run_has_actions(stream: str) -> None:
    first = a_run(status="failed", error=EVIL)
    assert "/do/resume-rebuild/" in user_with(*MAY).get(page_of(first)).text
    a_run(status="done")
    page = user_with(*MAY).get(page_of(first)).text
    assert "/do/" not in page and EVIL not in page and escape(EVIL) in page


def test_differences_are_shown_old_beside_new(stream: str) -> None:
    sides = {"live": {"notes": "1", "status": EVIL}, "new": {"notes": "2", "status": None}}
    samples = [
        {"key": EVIL, **sides},
        {"key": "2", "live": None, "new": {"notes": "5"}},
        {"key": "3", "live": {"notes": "6"}, "new": None},
    ]
    counts = {"live_rows": 4, "new_rows": 5, "only_live": 1, "only_new": 2, "differing": 3}
    stood = {"live_position": 7, "new_position": 8}
    run = a_run(
        status="running",
        phase="held",
        is_held=True,
        difference={**counts, **stood, "samples": samples},
    )
    page = user_with(*MAY, "view_personal_data").get(page_of(run)).text
    assert EVIL not in page and page.count(escape(EVIL)) == 3
    assert '<td class="wb-old">1</td><td class="wb-new">2</td>' in page
    assert '<td class="wb-old">–</td><td class="wb-new">5</td>' in page
    assert "different positions (7 and 8)" in page
    hidden = user_with(*MAY).get(page_of(run)).text
    assert escape(EVIL) not in hidden and "Values are hidden" in hidden
    assert '<td class="wb-old">•••</td><td class="wb-new">–</td>' in hidden
    asked = user_with(*MAY).get(url_of(PublishRebuild(subscription=NAME))).text
    assert "rows that change</th><td>3</td>" in asked


def test_comparison_that_came_meanwhile_has_to_be_looked_at(stream: str) -> None:
    run = a_run(status="running", phase="folding", is_held=True)
    client, action = user_with(*MAY), PublishRebuild(subscription=NAME)
    form = {**hidden_of(client.get(url_of(action)).text), "reason": "Fine."}
    names = ("live_rows", "new_rows", "only_live", "only_new", "differing", "live_position")
    run.difference = {**dict.fromkeys(names, 0), "new_position": 9, "samples": []}
    run.phase = "held"
    run.save()
    answer = client.post(url_of(action), form)
    assert answer.status_code == 409 and "compared was empty and is 9" in answer.text
    run.refresh_from_db()
    assert run.is_held


def test_cancelled_rebuild_goes_on(stream: str) -> None:
    client = user_with(*MAY)
    do(client, ASK)
    do(client, CancelRebuild(subscription=NAME))
    run = Rebuild.objects.get()
    assert run.status == "cancelled"
    do(client, ResumeRebuild(subscription=NAME))
    run.refresh_from_db()
    assert run.status == "requested"
    drain()
    run.refresh_from_db()
    assert run.status == "done"
    again = client.get(url_of(ASK)).text
    assert f"as rebuild {run.pk} took less than a second" in again


class TestTwoPeople:
    @pytest.fixture(autouse=True)
    def _four_eyes(self, settings: Any) -> None:
        settings.WHIZBANG = {**settings.WHIZBANG, "FOUR_EYES": ["rebuild"]}

    def test_one_asks_another_approves_and_a_worker_does_it(self, stream: str) -> None:
        anna = user_with(*MAY, "approve_actionrequest")
        do(anna, ASK, reason=EVIL)
        assert not Rebuild.objects.exists()
        asked = ActionRequest.objects.get()
        decide = reverse("admin:whizbang_actionrequest_decide", args=[asked.pk])
        assert anna.post(decide, {"decision": "approve", "reason": "Me."}).status_code == 403
        ben = user_with(*MAY, "approve_actionrequest")
        page = ben.get(decide).text
        assert EVIL not in page and escape(EVIL) in page and "events to read" in page
        ben.post(decide, {"decision": "approve", "reason": "Yes."})
        run = Rebuild.objects.get()
        assert (run.requested_by, run.status) == ("u0", "requested")
        drain()
        run.refresh_from_db()
        assert run.status == "done"
        told = OperatorAction.objects.order_by("id").values_list("action", "operator")
        assert list(told) == [("rebuild", "u0"), ("approve request", "u1")]

    def test_it_is_not_approved_where_another_rebuild_is_open_now(self, stream: str) -> None:
        do(user_with(*MAY), ASK)
        a_run()
        ben = user_with(*MAY, "approve_actionrequest", "view_actionrequest")
        decide = reverse(
            "admin:whizbang_actionrequest_decide", args=[ActionRequest.objects.get().pk]
        )
        answer = ben.post(decide, {"decision": "approve", "reason": "Yes."}, follow=True)
        assert "has changed since you looked" in answer.text
        assert Rebuild.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_tables_of_rebuilds")
@pytest.mark.requires_postgres
def test_rows_are_held_looked_at_published_and_put_back(stream: str) -> None:
    client = user_with(*MAY)
    OrderSummary.objects.filter(order_id="1").update(notes=7)
    do(client, RequestRebuild(subscription=NAME, hold=True))
    drain()
    run = Rebuild.objects.get()
    page = client.get(page_of(run)).text
    assert '<td class="wb-old">7</td><td class="wb-new">1</td>' in page
    assert OrderSummary.objects.get(order_id="1").notes == 7
    do(client, PublishRebuild(subscription=NAME))
    drain()
    assert OrderSummary.objects.get(order_id="1").notes == 1
    assert "/do/undo/" in client.get(page_of(run)).text
    do(client, UndoRebuild(subscription=NAME))
    drain()
    assert OrderSummary.objects.get(order_id="1").notes == 7
    do(client, DropOldRows(subscription=NAME))
    assert client.get(url_of(UndoRebuild(subscription=NAME))).status_code == 400
    record = OperatorAction.objects.latest("id")
    assert (record.action, json.dumps(record.parameters)) == (
        "drop-old",
        f'{{"subscription": "{NAME}"}}',
    )
