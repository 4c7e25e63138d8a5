"""The lists of sagas, of keys that could not start, and of timeouts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.admin.clients import EVIL, user_with
from tests.admin.sagas.conftest import page_of
from tests.sagas.steering import SAGA, begin, note, wait_for_payment
from tests.trips.sagas import TripBooking
from whizbang.models import ParkedStream, SagaInstance, SagaTimeout
from whizbang.testing import drain
from whizbang_admin.sagas import listing, timeouts

pytestmark = pytest.mark.django_db
LIST = "admin:whizbang_sagainstance_changelist"
UNSTARTED = "admin:whizbang_sagainstance_unstarted"
TIMEOUTS = "admin:whizbang_sagatimeout_changelist"


def listed(page: str) -> list[str]:
    """The keys that a list links."""
    return re.findall(r'<a href="[^"]*/change/">([^<]*)</a>', page)


@pytest.mark.parametrize(
    ("name", "arguments", "permission"),
    [
        (LIST, [], "view_sagainstance"),
        (UNSTARTED, [], "view_sagainstance"),
        ("admin:whizbang_sagainstance_diagram", [SAGA], "view_sagainstance"),
        ("admin:whizbang_sagainstance_export", ["csv"], "view_sagainstance"),
        (TIMEOUTS, [], "view_sagatimeout"),
        ("admin:whizbang_sagatimeout_export", ["json"], "view_sagatimeout"),
    ],
)
def test_pages_need_their_permissions(name: str, arguments: list[str], permission: str) -> None:
    url = reverse(name, args=arguments)
    assert Client().get(url).status_code == 302
    assert user_with().get(url).status_code == 403
    assert user_with("view_stream").get(url).status_code == 403
    assert user_with(permission).get(url).status_code == 200


def test_sagas_are_listed_by_what_is_asked_for(waiting: str) -> None:
    begin("2", price=10)
    wait_for_payment("3")
    note("break", "3")
    SagaInstance.objects.filter(key="1").update(next_timeout_at="2000-01-01T00:00:00Z")
    client, url = user_with("view_sagainstance"), reverse(LIST)
    assert listed(client.get(url).text) == ["3", "2", "1"]
    assert listed(client.get(url, {"status": "completed"}).text) == ["2"]
    assert listed(client.get(url, {"saga": SAGA, "status": "open"}).text) == ["3", "1"]
    assert listed(client.get(url, {"failing": "on"}).text) == ["3"]
    overdue = client.get(url, {"overdue": "on"}).text
    assert listed(overdue) == ["1"] and "overdue</strong>" in overdue
    assert "cannot stand this note" in client.get(url).text
    nonsense = client.get(url, {"status": EVIL})
    assert nonsense.status_code == 200 and EVIL not in nonsense.text and not listed(nonsense.text)


def test_pages_go_on_where_the_last_one_ended(
    waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_PAGE_ROWS", 2)
    for key in ("2", "3", "4", "5"):
        wait_for_payment(key)
    client, url = user_with("view_sagainstance"), reverse(LIST)
    seen: list[str] = []
    query = "?status=open"
    while query:
        page = client.get(url + query).text
        seen += listed(page)
        found = re.search(r'<a href="([^"]*)" rel="next"', page)
        query = found[1].replace("&amp;", "&") if found else ""
    assert seen == ["5", "4", "3", "2", "1"]
    SagaInstance.objects.filter(key="4").delete()
    gone = client.get(f"{url}?after={SAGA}-4").text
    assert "begin the list anew" in gone and not listed(gone)
    assert client.get(url, {"after": "x\0"}).status_code == 404


def test_list_is_had_as_a_file_as_it_is_filtered(waiting: str) -> None:
    begin("2", price=10)
    client = user_with("view_sagainstance")
    url = reverse("admin:whizbang_sagainstance_export", args=["csv"])
    answer: Any = client.get(url, {"status": "open"})
    lines = answer.getvalue().decode().splitlines()
    assert len(lines) == 2 and f"{SAGA}-1" in lines[1]
    assert "plans" not in lines[0]
    assert client.get(url.replace("csv", "xml")).status_code == 404
    assert client.get(url, {"status": "x"}).status_code == 404


def test_those_that_could_not_start_are_listed_with_why(monkeypatch: pytest.MonkeyPatch) -> None:
    drain()
    monkeypatch.delattr(TripBooking, "requested")
    begin("1")
    ParkedStream.objects.update(error=EVIL)
    client = user_with("view_sagainstance", "view_stream")
    assert reverse(UNSTARTED) in client.get(reverse(LIST)).text
    page = client.get(reverse(UNSTARTED)).text
    assert listed(page) == ["1"]
    assert EVIL not in page and "&lt;script&gt;" in page
    assert "/event/" in page
    one = client.get(page_of("1")).text
    assert "The event that would start it fails" in one and EVIL not in one
    for after in ("x", "-1", "9" * 30):
        assert client.get(reverse(UNSTARTED), {"after": after}).status_code == 404


def test_timeouts_are_listed_as_they_are_due(waiting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "_PAGE_ROWS", 2)
    for key in ("2", "3"):
        wait_for_payment(key)
    SagaTimeout.objects.filter(key="3").update(due_at="2000-01-01T00:00:00Z")
    SagaTimeout.objects.filter(key="2").update(
        due_at="2000-01-01T00:00:00Z", parked_at="2000-01-02T00:00:00Z", error=EVIL
    )
    client = user_with("view_sagatimeout", "view_sagainstance", "retry_sagainstance")
    url = reverse(TIMEOUTS)
    page = client.get(url).text
    assert listed(page) == ["3", "1"]
    assert page.count("fire-timeout-now") == 1  # what is due already is a worker's
    assert listed(client.get(url, {"kind": "overdue"}).text) == ["3"]
    failed = client.get(url, {"kind": "failed"}).text
    assert listed(failed) == ["2"] and EVIL not in failed and "retry-saga" in failed
    assert "skip-saga" not in failed
    pk = SagaTimeout.objects.get(key="3").pk
    assert listed(client.get(url, {"after": pk}).text) == ["1"]
    assert "begin the list anew" in client.get(url, {"after": 10**9}).text
    assert client.get(url, {"after": "x"}).status_code == 404
    change = reverse("admin:whizbang_sagatimeout_change", args=[pk])
    assert client.get(change)["Location"] == page_of("3")
    assert user_with("view_sagatimeout").get(change).status_code == 404
    assert user_with("view_sagainstance").get(change).status_code == 403


@pytest.mark.parametrize("query", [{}, {"failing": "on"}, {"overdue": "on", "saga": SAGA}])
def test_list_costs_few_statements_and_reads_no_states(waiting: str, query: dict[str, str]) -> None:
    for key in ("2", "3", "4"):
        wait_for_payment(key)
    client = user_with("view_sagainstance")
    with CaptureQueriesContext(connection) as captured:
        client.get(reverse(LIST), query)
    assert len(captured) < 15
    for one in captured:
        assert "OFFSET" not in one["sql"] and '."plans"' not in one["sql"]
        assert "whizbang_saga" not in one["sql"] or "COUNT(" not in one["sql"]
