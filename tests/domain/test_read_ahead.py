"""A batch reads its aggregates with one statement, and is right where the guess is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

import whizbang
from tests.shop.aggregates import Order
from tests.shop.messages import NoteOrder, OpenOrder
from whizbang.domain.read_ahead import run_with_read_ahead
from whizbang.domain.unit_of_work import UnitOfWork
from whizbang.messaging.processing import InboxProcessor

pytestmark = pytest.mark.django_db


def reads_of(captured: CaptureQueriesContext) -> int:
    return sum("FROM whizbang_event WHERE" in q["sql"] for q in captured)


def test_batch_reads_its_aggregates_twice_at_most() -> None:
    for number in range(0, 20, 2):
        whizbang.send(OpenOrder(order_id=str(number)))
    whizbang.publish_batch(NoteOrder(order_id=str(n), text="a") for n in range(20))
    with CaptureQueriesContext(connection) as captured:
        InboxProcessor(whizbang.event_store()).run_once()
    assert reads_of(captured) == 2
    for number in range(20):
        order = whizbang.event_store().load(Order, str(number))
        assert (order.notes, order.status) == (["a"], "new" if number % 2 else "open")


def test_several_messages_of_one_aggregate_see_each_other() -> None:
    whizbang.publish_batch(NoteOrder(order_id=str(n % 3), text=str(n)) for n in range(9))
    InboxProcessor(whizbang.event_store()).run_once()
    assert whizbang.event_store().load(Order, "1").notes == ["1", "4", "7"]


def test_wrong_guess_loads_what_the_handler_asks_for() -> None:
    whizbang.send(OpenOrder(order_id="other"))
    unit = UnitOfWork(None)
    loaded: list[Any] = []

    def handle(message: NoteOrder) -> None:
        loaded.append(unit.load(Order, message.order_id if not loaded else "other").status)

    messages = [NoteOrder(order_id=str(n), text="") for n in range(2)]
    run: Callable[..., None] = run_with_read_ahead
    run(unit, [(m, m) for m in messages], handle)
    assert loaded == ["new", "open"]
