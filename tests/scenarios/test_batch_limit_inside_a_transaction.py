"""Scenario 14: a read limit that cuts a transaction's events in two changes nothing for the consumer."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

import whizbang
from tests.shop.messages import OrderNoted
from tests.shop.models import OrderSummary
from whizbang.models import Partition, Subscription
from whizbang.store.event_store import StreamAppend
from whizbang.subscriptions.engine import Engine
from whizbang.subscriptions.runner import SubscriptionRunner

pytestmark = pytest.mark.django_db(transaction=True)
ORDERS, NOTES_OF_EACH, TRANSACTIONS = 3, 5, 2


def append_transactions() -> None:
    """Each transaction writes 15 events to three streams."""
    for _ in range(TRANSACTIONS):
        whizbang.event_store().append_many(
            StreamAppend(f"shop.Order-{n}", [OrderNoted(order_id=str(n), text="a")] * NOTES_OF_EACH)
            for n in range(ORDERS)
        )


def run_with_restarts(*, batch_size: int) -> None:
    """A worker that ends after each read, so that each cut is also a place to begin again."""
    with override_settings(WHIZBANG={"BATCH_SIZE": batch_size}):
        for _ in range(2 + ORDERS * NOTES_OF_EACH * TRANSACTIONS // batch_size):
            engine = Engine(whizbang.event_store(), "worker")
            engine.run_once()
            engine.close()


def notes() -> dict[str, int]:
    return dict(OrderSummary.objects.values_list("order_id", "notes"))


@pytest.mark.parametrize("batch_size", [2, 7, 14, 16])
def test_cut_transaction_is_applied_as_a_whole_one(batch_size: int) -> None:
    append_transactions()
    run_with_restarts(batch_size=batch_size)
    assert notes() == dict.fromkeys(map(str, range(ORDERS)), NOTES_OF_EACH * TRANSACTIONS)
    head = whizbang.event_store().head()
    readers = Subscription.objects.exclude(kind="inline").values("name")
    partitions = Partition.objects.filter(subscription__in=readers)
    assert set(partitions.values_list("position", flat=True)) == {head}


def test_checkpoint_at_the_end_of_the_transaction_would_lose_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The mutant: a batch that was cut counts as all that was read for."""
    run = SubscriptionRunner.run

    def run_to_the_head(self: SubscriptionRunner, rows: Any, upto: int) -> int:
        return run(self, rows, whizbang.event_store().head())

    monkeypatch.setattr(SubscriptionRunner, "run", run_to_the_head)
    append_transactions()
    run_with_restarts(batch_size=14)
    assert sum(notes().values()) < ORDERS * NOTES_OF_EACH * TRANSACTIONS
