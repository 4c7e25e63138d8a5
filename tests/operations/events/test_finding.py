"""Finding events: by what their metadata say, by time, page by page, and before the index has read them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

import whizbang
from tests.shop.messages import OpenOrder, OrderNoted
from whizbang.models import EventEntry, StoredEvent
from whizbang.operations.events import finding
from whizbang.operations.events.finding import EventQuery, FoundEvents, find_events
from whizbang.operations.events.positions import last_position_before
from whizbang.operations.history import rewriting

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]


def note(order_id: str, *texts: str, user: Any = None) -> None:
    events = [OrderNoted(order_id=order_id, text=text) for text in texts]
    whizbang.event_store().append(f"shop.Order-{order_id}", events, user=user)


def find(**wanted: Any) -> FoundEvents:
    pages = {name: wanted.pop(name) for name in ("older_than", "newer_than") if name in wanted}
    limit = wanted.pop("limit", 50)
    return find_events(EventQuery(**wanted), store=whizbang.event_store(), limit=limit, **pages)


def versions(found: FoundEvents) -> list[int]:
    return [event.version for event in found.events]


@pytest.fixture(params=["indexed", "not yet indexed"])
def log(request: Any, drain: Drain) -> None:
    whizbang.send(OpenOrder(order_id="1"), user="anna")
    note("1", "a", "b", user="ben")
    note("2", "c", user="anna")
    if request.param == "indexed":
        drain()
        assert EventEntry.objects.count() == 4


def test_events_are_found_by_each_and_by_several(log: None) -> None:
    first = find(type="shop.OrderOpened").events[0]
    assert (first.stream, first.version, first.user) == ("shop.Order-1", 1, "anna")
    assert [e.position for e in find(message_id=first.message_id).events] == [first.position]
    assert [e.position for e in find(correlation_id=first.correlation_id).events] == [
        first.position
    ]
    assert versions(find(user="ben")) == [3, 2]
    assert versions(find(user="anna", type="shop.OrderNoted")) == [1]
    assert versions(find()) == [1, 3, 2, 1]
    for wanted in ({"user": "nobody"}, {"message_id": uuid4()}, {"type": "shop.Other"}):
        assert find(**wanted).events == []


def test_pages_lead_both_ways_and_end(log: None) -> None:
    newest = find(limit=2)
    assert versions(newest) == [1, 3]
    assert newest.newer_than is None
    older = find(limit=2, older_than=newest.older_than)
    assert versions(older) == [2, 1]
    assert older.older_than is None
    back = find(limit=2, newer_than=older.newer_than)
    assert versions(back) == [1, 3]
    assert (back.newer_than, back.older_than) == (None, back.events[-1].position)


def test_search_by_several_is_bounded_and_goes_on(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    note("1", *("x" * 9), user="anna")
    note("2", "y", user="ben")
    note("1", *("x" * 9), user="anna")
    drain()
    monkeypatch.setattr(finding, "MOST_LOOKED_AT", 5)
    found, looked = [], 0
    page = find(user="ben", type="shop.OrderNoted")
    assert versions(page) == [1]
    with CaptureQueriesContext(connection) as captured:
        page = find(user="anna", type="shop.OrderOpened")
    assert "LIMIT 5" in next(
        q["sql"] for q in captured if '"type"' in q["sql"] or "`type`" in q["sql"]
    )
    while True:
        looked += 1
        found += page.events
        if page.older_than is None:
            break
        assert page.is_cut
        page = find(user="anna", type="shop.OrderOpened", older_than=page.older_than)
    assert (found, looked) == ([], 4)


def test_user_that_is_longer_than_its_column_is_found(drain: Drain) -> None:
    note("1", "a", user="u" * 200)
    for _ in range(2):
        assert versions(find(user="u" * 200)) == [1]
        drain()


def test_event_that_a_change_of_history_deleted_is_left_out(log: None) -> None:
    with rewriting(reason="forget it"):
        StoredEvent.objects.filter(stream="shop.Order-2").delete()
    assert versions(find()) == [3, 2, 1]


def test_index_that_lags_far_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MOST_UNINDEXED", 2)
    note("1", "a", "b", "c")
    found = find()
    assert versions(found) == [2, 1]
    assert found.unindexed


@pytest.fixture
def days(drain: Drain) -> Iterator[list[datetime]]:
    """A hundred events, one a day, with holes between their positions."""
    note("1", *(str(number) for number in range(120)))
    positions = list(StoredEvent.objects.order_by("position").values_list("position", flat=True))
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    made = [begin + timedelta(days=n) for n in range(100)]
    with rewriting(reason="spread them"):
        StoredEvent.objects.filter(position__in=positions[::6]).delete()
        left = [at for index, at in enumerate(positions) if index % 6]
        for at, day in zip(left, made, strict=True):
            StoredEvent.objects.filter(position=at).update(recorded_at=day)
    drain()
    yield made


def test_time_is_found_by_position(days: list[datetime]) -> None:
    positions = list(StoredEvent.objects.order_by("position").values_list("position", flat=True))
    for number in (0, 1, 50, 99):
        at = last_position_before(days[number], using="default")
        assert sum(position <= at for position in positions) == number
    after = last_position_before(days[-1] + timedelta(days=1), using="default")
    assert after >= positions[-1]


def test_time_is_found_by_few_statements(days: list[datetime]) -> None:
    with CaptureQueriesContext(connection) as captured:
        last_position_before(days[50], using="default")
    assert len(captured) <= 4


def test_empty_log_has_no_position() -> None:
    assert last_position_before(datetime(2024, 1, 1, tzinfo=UTC), using="default") == 0


def test_events_of_a_time_are_found(days: list[datetime]) -> None:
    found = find(since=days[10], before=days[13])
    assert [event.recorded_at for event in found.events] == [days[12], days[11], days[10]]
    assert find(since=days[-1] + timedelta(days=1)).events == []
    assert find(before=days[0]).events == []


def test_verb_finds_them_too(log: None) -> None:
    out = StringIO()
    call_command("whizbang", "events", "--user", "ben", "--limit", "1", stdout=out)
    assert "shop.OrderNoted by ben" in out.getvalue()
    assert "Perhaps more: --older-than" in out.getvalue()
    out = StringIO()
    call_command("whizbang", "events", "--type", "shop.OrderOpened", "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert (found["stream"], UUID(found["message_id"]).version) == ("shop.Order-1", 7)
    with pytest.raises(CommandError, match="counts from 1"):
        call_command("whizbang", "events", "--limit", "0")
