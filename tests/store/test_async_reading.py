"""The reads of the store as async iterators say what the others say."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync

import whizbang
from tests.shop.messages import OrderNoted
from whizbang.store.event_store import EventStore

pytestmark = pytest.mark.django_db
STREAM = "shop.Order-1"


@pytest.fixture
def store() -> EventStore:
    found = whizbang.event_store()
    found.append(STREAM, [OrderNoted(order_id="1", text=str(n)) for n in range(450)])
    found.append("shop.Order-2", [OrderNoted(order_id="2", text="a")])
    return found


@async_to_sync
async def collect(items: Any) -> list[Any]:
    return [item async for item in items]


@pytest.mark.parametrize(
    "parts", [{}, {"after": 3, "until": 300}, {"backwards": True, "limit": 210}]
)
def test_stream_is_the_same(store: EventStore, parts: dict[str, Any]) -> None:
    read = list(store.read_stream(STREAM, **parts))
    assert collect(store.aread_stream(STREAM, **parts)) == read != []


@pytest.mark.parametrize("parts", [{}, {"limit": None}, {"categories": ["shop.Order"], "limit": 7}])
def test_log_is_the_same(store: EventStore, parts: dict[str, Any]) -> None:
    read = list(store.read_all(**parts))
    assert collect(store.aread_all(**parts)) == read != []


def test_reader_that_stops_early_reads_no_further(store: EventStore, monkeypatch: Any) -> None:
    taken: list[int] = []
    decode = store._decode_metadata
    monkeypatch.setattr(store, "_decode_metadata", lambda wire: (taken.append(1), decode(wire))[1])

    @async_to_sync
    async def first() -> Any:
        async for recorded in store.aread_stream(STREAM):
            return recorded

    assert first().event.text == "0"
    assert len(taken) == 200
