"""Which events a scope means."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

import whizbang
from tests.shop.messages import OrderGone, OrderNoted
from whizbang.exceptions import WhizbangError
from whizbang.operations import scope
from whizbang.operations.scope import Scope, fix_scope, section_from_plain, section_to_plain

pytestmark = pytest.mark.django_db
TYPES = ["shop.OrderNoted"]
LONG_AGO, IN_FUTURE = date(2000, 1, 1), date(2200, 1, 1)


@pytest.fixture
def positions() -> list[int]:
    """Of six notes, by turns on two orders, with other events between."""
    store = whizbang.event_store()
    for number in range(6):
        order_id = str(number % 2)
        noted = OrderNoted(order_id=order_id, text=str(number))
        store.append(f"shop.Order-{order_id}", [noted, OrderGone(order_id=order_id)])
    return [recorded.meta.position for recorded in store.read_all(types=[OrderNoted])]


def found(**known: Any) -> list[int]:
    store = whizbang.event_store()
    section = fix_scope(store, Scope(**known), types=TYPES, until=store.head())
    kept = section_from_plain(
        section_to_plain(section), after=section.after, until=section.until, types=TYPES
    )
    assert kept == section
    rows = [row.position for row in section.read(store, limit=None)]
    assert section.count(store) == len(rows)
    return rows


def test_positions_are_behind_after_and_up_to_until(positions: list[int]) -> None:
    assert found(after=positions[1], until=positions[3]) == positions[2:4]
    assert found(after=positions[1]) == positions[2:]


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "_FIRST_WINDOW", 1)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7])
def test_last_events_are_those_of_the_readers_types(
    positions: list[int], small_windows: None, count: int
) -> None:
    assert found(last_events=count) == positions[-count:]
    assert found(last_events=count, until=positions[3]) == positions[:4][-count:]


def test_last_events_of_streams_are_counted_in_these(positions: list[int]) -> None:
    assert found(last_events=2, streams=("shop.Order-1",)) == positions[1::2][-2:]


def test_dates_are_those_of_recording(positions: list[int]) -> None:
    assert found(since=LONG_AGO, before=IN_FUTURE) == found(last_days=1) == positions
    assert found(since=IN_FUTURE) == found(before=LONG_AGO) == []
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert found(before=soon) == positions


def test_nothing_behind_the_readers_end_is_meant(positions: list[int]) -> None:
    assert found(everything=True) == positions
    store = whizbang.event_store()
    section = fix_scope(store, Scope(everything=True), types=TYPES, until=positions[2])
    assert section.until == positions[2]
    section = fix_scope(store, Scope(after=positions[5]), types=TYPES, until=positions[2])
    assert section.count(store) == 0


@pytest.mark.parametrize(
    ("known", "problem"),
    [
        ({}, "Say which events"),
        ({"everything": True, "after": 3}, "leaves nothing to choose"),
        ({"last_days": 1, "since": LONG_AGO}, "in place of since"),
        ({"last_days": 0}, "above 0"),
        ({"since": date.min}, "Dates begin"),
        ({"last_days": 10**30}, "366,000 at most"),
        ({"last_days": float("nan")}, "366,000 at most"),
        ({"last_events": 0}, "above 0"),
        ({"last_events": 1, "after": 1}, "in place of after"),
        ({"after": -1}, "begin at 0"),
        ({"streams": tuple(map(str, range(1001)))}, "too many"),
    ],
)
def test_what_means_nothing_is_refused(known: dict[str, Any], problem: str) -> None:
    with pytest.raises(WhizbangError, match=problem):
        Scope(**known)
