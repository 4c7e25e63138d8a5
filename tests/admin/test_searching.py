"""Searches of streams: what they find, and that an index answers them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.admin.clients import user_with
from tests.shop.messages import NOON
from whizbang.models import Stream
from whizbang_admin.frame import searching

pytestmark = pytest.mark.django_db
URL = "admin:whizbang_stream_changelist"


def store_streams(*names: str) -> None:
    Stream.objects.bulk_create(
        Stream(
            name=name,
            category=name.partition("-")[0],
            aggregate_id=name.partition("-")[2],
            version=1,
            last_position=position,
            last_type="t",
            first_recorded_at=NOON,
            last_recorded_at=NOON,
        )
        for position, name in enumerate(names)
    )


def found(**query: str) -> list[str]:
    page: Any = user_with("view_stream").get(reverse(URL), query)
    return [stream.name for stream in page.context["cl"].result_list]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shop.Order-1", ["shop.Order-11", "shop.Order-1"]),
        ("shop.Order-11", ["shop.Order-11"]),
        ("1", ["pay.Bill-1", "shop.Order-11", "shop.Order-1"]),
        ("11", ["shop.Order-11"]),
        ("a%", ["shop.Order-a%b"]),
        ("a_", ["shop.Order-a_b"]),
        ("rder-1", []),
        ("\N{GRINNING FACE}", ["shop.Order-\N{GRINNING FACE}"]),
        ("' OR 1=1 --", []),
    ],
)
@pytest.mark.parametrize("most", [searching.MOST_COUNTED, 0])
def test_streams_are_found_by_the_start_of_name_or_aggregate_id(
    text: str, expected: list[str], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MOST_COUNTED", most)
    numbered = [f"shop.Order-{name}" for name in ("1", "11", "a%b", "a_b", "axb")]
    store_streams(*numbered, "pay.Bill-1", "shop.Order-\N{GRINNING FACE}")
    assert found(q=text) == expected


def test_search_and_category_work_together() -> None:
    store_streams("shop.Order-1", "shop.Other-1")
    assert found(q="1", category="shop.Order") == ["shop.Order-1"]


def test_search_with_a_nul_finds_nothing_and_breaks_nothing() -> None:
    assert user_with("view_stream").get(reverse(URL), {"q": "a\0"}).status_code == 200


@pytest.mark.parametrize("text", ["shop.Order-2999", "2999"])
@pytest.mark.parametrize("category", ["", "shop.Order"])
def test_search_of_a_few_streams_reads_indexes_of_name_and_id_only(
    text: str, category: str
) -> None:
    store_streams(*(f"shop.Order-{n}" for n in range(3000)))
    if connection.vendor == "postgresql":  # which does it by itself; SQLite never does
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    with CaptureQueriesContext(connection) as captured:
        assert found(q=text, category=category) == ["shop.Order-2999"]
    table = connection.ops.quote_name("whizbang_stream")
    reads = [q["sql"] for q in captured if f"FROM {table}" in q["sql"]]
    assert reads
    for sql in reads:
        plan = explain(sql)
        for column in ("name", "aggregate_id"):
            assert is_index_of(column, plan), (sql, plan)
        assert "Seq Scan" not in plan
        if connection.vendor != "mysql":  # which names indexes that it does not use, too
            assert "whizbang_stream_category" not in plan


@pytest.mark.requires_sqlite
def test_search_that_finds_many_streams_does_not_sort_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "MOST_COUNTED", 100)
    store_streams(*(f"shop.Order-{n}" for n in range(300)))
    with CaptureQueriesContext(connection) as captured:
        assert found(q="shop.Order-")[:2] == ["shop.Order-299", "shop.Order-298"]
    pages = [q["sql"] for q in captured if 'ORDER BY "whizbang_stream"."last_position"' in q["sql"]]
    assert len(pages) == 1
    assert "USE TEMP B-TREE FOR ORDER BY" not in explain(pages[0])


def explain(sql: str) -> str:
    verb = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{verb} {sql}")
        return str(cursor.fetchall())


def is_index_of(column: str, plan: str) -> bool:
    if connection.vendor == "sqlite":
        return f"({column}>? AND {column}<?)" in plan
    if connection.vendor == "mysql":
        return any(f"'{access}'" in plan for access in ("range", "const", "index_merge"))
    return f"(({column})::text ~>=~" in plan
