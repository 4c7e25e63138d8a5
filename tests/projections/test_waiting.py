"""Reading one's own write: waiting until projections have applied it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, connections, transaction

import whizbang
from tests.shop.messages import OpenOrder, OrderGone, OrderNoted
from tests.shop.models import OrderSummary
from tests.shop.projections import CustomerTotals, OrderSummaries
from whizbang.exceptions import WaitTimeout, WrongMode
from whizbang.models import Partition
from whizbang.operations.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def worker(transactional_db: None) -> Iterator[Worker]:
    """In a thread of its own."""
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        pytest.skip("a thread needs a connection of its own, which an in-memory database has not")
    worker = Worker()

    def work() -> None:
        try:
            worker.run()
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield worker
    worker.stop()
    thread.join()


def test_send_returns_when_the_projection_has_it(worker: Worker) -> None:
    for number in range(5):
        id = str(number)
        whizbang.send(OpenOrder(order_id=id), wait_for=[OrderSummaries, CustomerTotals])
        assert OrderSummary.objects.get(pk=id).status == "open"


def test_send_returns_when_the_projection_has_it_in_async_code(worker: Worker) -> None:
    async_to_sync(whizbang.asend)(OpenOrder(order_id="1"), wait_for=[OrderSummaries])
    assert OrderSummary.objects.get().status == "open"


def test_wait_until_a_position(worker: Worker) -> None:
    store = whizbang.event_store()
    store.append("shop.Order-1", [OrderNoted(order_id="1", text="a")] * 3)
    OrderSummaries.wait_until(store.head())
    assert OrderSummary.objects.get().notes == 3


def test_events_that_it_does_not_want_need_no_waiting(
    drain: Callable[..., Any], django_assert_max_num_queries: Any
) -> None:
    """Its checkpoint follows such events once a second at most."""
    store = whizbang.event_store()
    store.append("shop.Order-1", [OrderNoted(order_id="1", text="a")])
    drain()
    Partition.objects.filter(subscription="shop.OrderSummaries").update(position=store.head())
    store.append("else.Where-1", [Unwanted(text="a")])
    OrderSummaries.wait_until(store.head(), timeout_seconds=0.0)


class Unwanted(whizbang.Event):
    text: str


def test_timeout_says_where_it_stands(drain: Callable[..., Any]) -> None:
    store = whizbang.event_store()
    with pytest.raises(WaitTimeout, match=r"OrderSummaries stands at 0 of \d+.*stored"):
        whizbang.send(OpenOrder(order_id="1"), wait_for=[OrderSummaries], timeout_seconds=0.01)
    drain()
    store.append("shop.Order-2", [OrderGone(order_id="2")])
    head = store.head()
    with pytest.raises(WaitTimeout, match=rf"stands at \d+ of {head}"):
        OrderSummaries.wait_until(head, timeout_seconds=0.01)
    with pytest.raises(WaitTimeout):
        async_to_sync(OrderSummaries.await_until)(head, timeout_seconds=0.01)


def test_inline_projection_is_there_at_once() -> None:
    whizbang.send(OpenOrder(order_id="1"), wait_for=[CustomerTotals], timeout_seconds=0.0)
    CustomerTotals.wait_until(99, timeout_seconds=0.0)


def test_open_transaction_is_refused_before_anything_happens() -> None:
    with transaction.atomic():
        with pytest.raises(WrongMode, match="open transaction"):
            whizbang.send(OpenOrder(order_id="1"), wait_for=[OrderSummaries])
        with pytest.raises(WrongMode, match="open transaction"):
            OrderSummaries.wait_until(1)
    assert whizbang.event_store().head() == 0


@pytest.mark.parametrize("wanted", [OrderSummary, "shop.OrderSummaries", whizbang.ModelProjection])
def test_what_is_no_projection_is_refused_before_anything_happens(wanted: Any) -> None:
    with pytest.raises(TypeError, match="no projection"):
        whizbang.send(OpenOrder(order_id="1"), wait_for=[wanted])
    assert whizbang.event_store().head() == 0


def test_running_loop_is_not_held_up() -> None:
    async def wait() -> None:
        OrderSummaries.wait_until(1)

    with pytest.raises(WrongMode, match="await_until"):
        asyncio.run(wait())
