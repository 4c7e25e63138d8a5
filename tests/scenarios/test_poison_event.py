"""Scenario 10: one event's handler raises; its stream waits with the error, the others go on, a retry keeps the order."""

from __future__ import annotations

import pytest

import whizbang
from tests.processes import stop, wait_until
from tests.scenarios.odd_worker import NAME
from tests.scenarios.read_model import (
    Environment,
    fold,
    has_caught_up,
    note,
    rows,
    start_worker,
)
from tests.shop.messages import OrderNoted
from tests.shop.models import OrderSummary
from whizbang.models import ParkedStream
from whizbang.operations.parked import retry_parked

pytestmark = pytest.mark.django_db(transaction=True)


def test_poisoned_stream_waits_and_the_others_go_on(child_environment: Environment) -> None:
    store = whizbang.event_store()
    note(1)
    store.append("shop.Order-1", [OrderNoted(order_id="1", text="poison")])
    for _ in range(3):
        note(1)
        note(2)
    with start_worker(child_environment) as process:
        wait_until(has_caught_up)
        note(1)
        note(2)
        wait_until(has_caught_up)
        assert rows() == {"1": 1, "2": 4}
        parked = ParkedStream.objects.get()
        assert (parked.subscription, parked.stream, parked.version) == (NAME, "shop.Order-1", 2)
        assert "cannot be projected" in parked.error and "Traceback" in parked.traceback

        retry_parked(NAME)
        wait_until(lambda: ParkedStream.objects.get().attempts == 2)
        assert rows() == {"1": 1, "2": 4}

        OrderSummary.objects.filter(order_id="1").update(status="cured")
        retry_parked(NAME)
        wait_until(lambda: not ParkedStream.objects.exists())
        note(1)
        wait_until(lambda: has_caught_up() and rows() == fold())
        stop(process)
    assert rows() == {"1": 7, "2": 4}
