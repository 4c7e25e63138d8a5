"""Appending outside a transaction: one round trip, and still all or nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

import whizbang
from tests.shop.messages import OrderNoted, OrderOpened
from tests.shop.models import CustomerTotal
from whizbang import NO_STREAM, StreamAppend
from whizbang.exceptions import ConcurrencyError
from whizbang.store.event_store import EventStore

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store() -> EventStore:
    store = whizbang.event_store()
    store.append("shop.Order-0", [noted("0")])  # what is asked once a connection is asked by now
    return store


def noted(order_id: str) -> OrderNoted:
    return OrderNoted(order_id=order_id, text="a")


def test_what_nothing_inline_wants_is_appended_by_one_statement(store: EventStore) -> None:
    with CaptureQueriesContext(connection) as captured:
        version = store.append("shop.Order-1", [noted("1"), noted("1")], expected=NO_STREAM)

    assert version == 2
    assert len(captured) == 1


def test_an_inline_projection_is_written_in_the_same_transaction(store: EventStore) -> None:
    opened = OrderOpened(order_id="1", customer_id="c", total=Decimal("1"), currency="EUR")
    with CaptureQueriesContext(connection) as captured:
        store.append("shop.Order-1", [opened], expected=NO_STREAM)

    assert "BEGIN" in captured[0]["sql"] and captured[-1]["sql"] == "COMMIT"
    assert CustomerTotal.objects.filter(customer_id="c").exists()


def test_a_refused_append_to_several_streams_stores_nothing(store: EventStore) -> None:
    with pytest.raises(ConcurrencyError):
        store.append_many(
            [
                StreamAppend("shop.Order-1", [noted("1")], NO_STREAM),
                StreamAppend("shop.Order-0", [noted("0")], NO_STREAM),
            ]
        )

    assert [r.meta.stream for r in store.read_all(limit=None)] == ["shop.Order-0"]
