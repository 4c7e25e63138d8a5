"""Reading the log through the typed face."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.db import transaction

import whizbang
from tests.raw_events import append_raw
from tests.shop.aggregates import Order
from tests.shop.messages import NOON, OrderGone, OrderNoted
from whizbang.models import StoredEvent
from whizbang.operations.history import rewriting
from whizbang.store.slices import slice_of

pytestmark = pytest.mark.django_db
STREAM = "shop.Order-1"


def note(text: str, stream: str = STREAM, **keywords: object) -> int:
    event = OrderNoted(order_id="1", text=text)
    return whizbang.event_store().append(stream, [event], **keywords)  # type: ignore[arg-type]


def test_append_gives_the_new_version_and_checks_the_expected_one() -> None:
    assert note("a", expected=whizbang.NO_STREAM) == 1
    assert note("b", expected=1) == 2
    assert note("c") == 3
    assert note("d", expected=whizbang.STREAM_EXISTS) == 4


@pytest.mark.parametrize("wrong", [0, 2, 9])
def test_append_is_refused_when_the_stream_is_elsewhere(wrong: int) -> None:
    note("a")
    with transaction.atomic(), pytest.raises(whizbang.ConcurrencyError):
        note("x", expected=wrong)
        raise AssertionError("the append was not refused")


def test_filters_of_the_whole_log() -> None:
    store = whizbang.event_store()
    note("a", occurred_at=NOON)
    store.append("shop.Other-1", [OrderGone(order_id="1")])
    assert len(list(store.read_all())) == 2
    assert len(list(store.read_all(types=[OrderGone]))) == 1
    assert len(list(store.read_all(types=["shop.OrderNoted"]))) == 1
    assert len(list(store.read_all(categories=["shop.Other"]))) == 1
    assert len(list(store.read_all(slices=[slice_of(STREAM)]))) == 1
    assert len(list(store.read_all(occurred_before=date(1998, 1, 1)))) == 1
    assert len(list(store.read_all(since=datetime(2000, 1, 1, tzinfo=UTC)))) == 2
    first = next(iter(store.read_all(limit=1)))
    assert len(list(store.read_all(after=first.meta.position))) == 1
    assert store.head() == first.meta.position + 1


def test_aggregate_as_of_a_version_or_an_instant() -> None:
    note("a", occurred_at=NOON)
    note("b")
    past = whizbang.history(Order, "1")
    assert past.as_of(version=1).notes == ["a"]
    assert past.as_of(occurred=datetime(1998, 1, 1, tzinfo=UTC)).notes == ["a"]
    assert past.as_of(recorded=datetime.now(UTC)).notes == ["a", "b"]


def test_stream_reads_backwards_and_by_range() -> None:
    for text in "abc":
        note(text)
    store = whizbang.event_store()
    assert [r.event.text for r in store.read_stream(STREAM, backwards=True)] == ["c", "b", "a"]
    assert [r.event.text for r in store.read_stream(STREAM, after=1, until=2)] == ["b"]


def test_unknown_type_and_undecodable_payload_name_the_event() -> None:
    append_raw(STREAM, "shop.NeverDefined", {}, version=1)
    with pytest.raises(whizbang.UnknownMessageType, match=r"shop\.NeverDefined.*shop\.Order-1 v1"):
        list(whizbang.event_store().read_stream(STREAM))
    with rewriting(reason="a payload of another type"):
        StoredEvent.objects.update(type="shop.OrderNoted")
    with pytest.raises(whizbang.DecodeError, match=r"shop\.Order-1"):
        list(whizbang.event_store().read_stream(STREAM))


def test_old_name_and_old_schema_are_read_as_today() -> None:
    append_raw(STREAM, "shop.OrderSent", {"order_id": "1"}, version=1)
    append_raw(
        STREAM, "shop.OrderOpened", {"order_id": "1", "customer_id": "c", "total": "1"}, version=2
    )
    events = [r.event for r in whizbang.event_store().read_stream(STREAM)]
    assert isinstance(events[0], OrderGone)
    assert events[1].currency == "USD"


def test_stored_payload_over_the_limit_is_still_read() -> None:
    append_raw(STREAM, "shop.OrderNoted", {"order_id": "1", "text": "x" * 10_000_000}, version=1)
    recorded = next(iter(whizbang.event_store().read_stream(STREAM)))
    assert len(recorded.event.text) == 10_000_000


def test_slices_are_frozen_for_ever() -> None:
    assert [slice_of(s) for s in ("orders.Order-17", "ä", "")] == [530, 387, 0]
