"""Lists: pages by key, and lists as files."""

from __future__ import annotations

import csv
import json
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.admin.clients import EVIL, user_with
from whizbang.models import OperatorAction

pytestmark = pytest.mark.django_db
URL = "admin:whizbang_operatoraction_changelist"


def record(count: int, **more: Any) -> list[OperatorAction]:
    known = {"action": "pause", "parameters": {"secret": "payload"}, **more}
    return [OperatorAction.objects.create(target=f"thing {i}.", **known) for i in range(count)]


def link(page: str, rel: str) -> str:
    """Where a link of this relation leads; empty without one."""
    before, _, _ = page.partition(f'" rel="{rel}"')
    return before.rpartition('href="')[2].replace("&amp;", "&") if before != page else ""


def test_pages_go_on_where_the_last_one_ended_and_back() -> None:
    record(250)
    client, url = user_with("view_operatoraction"), reverse(URL)
    first = client.get(url).text
    assert "thing 249." in first and "thing 150." in first and "thing 149." not in first
    assert not link(first, "prev")
    OperatorAction.objects.filter(target="thing 200.").delete()  # nothing moves by that
    second = client.get(url + link(first, "next")).text
    assert "thing 149." in second and "thing 150." not in second
    third = client.get(url + link(second, "next")).text
    assert "thing 49." in third and "thing 0." in third
    assert not link(third, "next")
    back = client.get(url + link(third, "prev")).text
    assert "thing 149." in back and "thing 50." in back and "thing 49." not in back
    assert "thing 249." in client.get(url + link(back, "prev")).text


def test_page_is_read_without_offset() -> None:
    record(120)
    client, url = user_with("view_operatoraction"), reverse(URL)
    path = url + link(client.get(url).text, "next")
    with CaptureQueriesContext(connection) as captured:
        client.get(path)
    assert not any("OFFSET" in query["sql"] for query in captured)


@pytest.mark.parametrize("key", ["x", "", "1\0", "9" * 30])
def test_nonsense_for_a_key_is_not_found(key: str) -> None:
    client = user_with("view_operatoraction")
    assert client.get(reverse(URL), {"after": key}).status_code == 404


def test_search_begins_at_the_first_page() -> None:
    record(3)
    client = user_with("view_operatoraction")
    page = client.get(reverse(URL), {"after": "1"}).text
    assert 'name="after"' not in page


def test_list_is_had_as_csv_and_json_as_it_is_searched() -> None:
    wanted = uuid4()
    record(1, reason=f"=1+1 {EVIL}", message_id=wanted)
    record(2)
    client = user_with("view_operatoraction")
    url = reverse("admin:whizbang_operatoraction_export", args=["csv"])
    answer: Any = client.get(url, {"q": str(wanted)})
    assert "attachment" in answer["Content-Disposition"]
    [row] = csv.DictReader(StringIO(answer.getvalue().decode()))
    assert row["message_id"] == str(wanted)
    assert row["reason"].startswith("'=1+1")  # no formula
    assert "parameters" not in row
    answer = client.get(url.replace("csv", "json"))
    assert len([json.loads(line) for line in answer.getvalue().decode().splitlines()]) == 3
    assert client.get(url.replace("csv", "xml")).status_code == 404


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\n=", "＝"])
def test_no_cell_of_a_file_is_a_formula(start: str) -> None:
    record(1, reason=f"{start}1")
    url = reverse("admin:whizbang_operatoraction_export", args=["csv"])
    answer: Any = user_with("view_operatoraction").get(url)
    [row] = csv.DictReader(StringIO(answer.getvalue().decode(), newline=""))
    assert row["reason"] == f"'{start}1"


def test_files_need_the_permission_of_the_list() -> None:
    url = reverse("admin:whizbang_operatoraction_export", args=["csv"])
    assert Client().get(url).status_code == 302
    assert user_with().get(url).status_code == 403
