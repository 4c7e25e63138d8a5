"""Delays, due times and expiry: by the database's clock, whatever the clocks of processes say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now

import whizbang
from tests.messaging.handlers import Declare
from tests.messaging.test_services import command
from tests.shop.messages import NoteOrder, OpenOrder
from whizbang.drivers import clock
from whizbang.drivers.brokers.base import Delivery
from whizbang.messaging.claims import claim_due
from whizbang.messaging.processing import InboxProcessor
from whizbang.messaging.receiving import store_deliveries
from whizbang.models import InboxMessage, StoredEvent

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


class WrongClock:
    """A process's clock, an hour off."""

    off = HOUR

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) + cls.off


@pytest.fixture(params=[1, -1], ids=["ahead", "behind"])
def wrong_clock(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(WrongClock, "off", request.param * HOUR)
    monkeypatch.setattr(clock, "datetime", WrongClock)
    for name in ("django.utils.timezone.now", "whizbang.messaging.receiving.now"):
        monkeypatch.setattr(name, lambda: WrongClock.now(UTC))
    clock._offsets.clear()
    yield
    clock._offsets.clear()


def seconds_until_due() -> float:
    rows = InboxMessage.objects.annotate(now=Now())
    row = rows.get()
    left: timedelta = row.available_at - row.now
    return left.total_seconds()


@pytest.mark.requires_server
def test_delay_counts_from_the_databases_clock(wrong_clock: None) -> None:
    whizbang.publish(OpenOrder(order_id="1"), delay=timedelta(seconds=100))
    assert 95 < seconds_until_due() <= 100


@pytest.mark.requires_server
def test_received_command_is_due_at_once_on_a_machine_whose_clock_is_wrong(
    wrong_clock: None,
) -> None:
    message = command({"order_id": "1"})
    store_deliveries(whizbang.event_store(), [Delivery(message=message)])
    assert -5 < seconds_until_due() <= 0


@pytest.mark.requires_server
def test_delayed_message_is_not_claimed_early_by_a_worker_whose_clock_is_ahead(
    wrong_clock: None,
) -> None:
    whizbang.publish(OpenOrder(order_id="1"), at=datetime.now(UTC) + timedelta(minutes=1))
    assert claim_due(using="default", limit=1) == []
    InboxMessage.objects.update(available_at=Now())
    assert len(claim_due(using="default", limit=1)) == 1


def test_received_command_has_the_priority_of_its_handler(declare: Declare) -> None:
    declare(OpenOrder, priority=7)
    message = command({"order_id": "1"})
    store_deliveries(whizbang.event_store(), [Delivery(message=message)])
    assert InboxMessage.objects.get().priority == 7


def test_message_that_expires_behind_a_slow_one_is_not_handled(
    declare: Declare,
) -> None:
    """Though both were claimed before."""

    def wait(command: OpenOrder, context: Any) -> str:
        time.sleep(0.3)
        return "slow"

    declare(OpenOrder, function=wait)
    whizbang.publish(OpenOrder(order_id="1"))
    receipt = whizbang.publish(NoteOrder(order_id="1", text="late"), expires=timedelta(hours=1))
    InboxMessage.objects.filter(expires_at__isnull=False).update(
        expires_at=Now() + timedelta(seconds=0.2)
    )
    processor = InboxProcessor(whizbang.event_store())
    processor.run_once()
    processor.run_once()
    assert receipt.refresh().status == "expired"
    assert not StoredEvent.objects.exists()
    assert InboxMessage.objects.get(status="expired").attempts == 0


def test_due_time_of_a_retry_does_not_revive_what_has_expired() -> None:
    receipt = whizbang.publish(NoteOrder(order_id="1", text="fail"), expires=HOUR)
    processor = InboxProcessor(whizbang.event_store())
    processor.run_once()
    past = F("available_at") - 2 * HOUR
    InboxMessage.objects.update(available_at=past, expires_at=past)
    processor.run_once()
    assert receipt.refresh().status == "expired"


@pytest.mark.parametrize(
    ("times", "error"),
    [
        ({"delay": 5}, TypeError),
        ({"at": "tomorrow"}, TypeError),
        ({"expires": 5}, TypeError),
        ({"at": datetime(2026, 1, 1)}, ValueError),
        ({"expires": datetime(2026, 1, 1)}, ValueError),
        ({"at": datetime(2026, 1, 1, tzinfo=UTC), "delay": HOUR}, ValueError),
    ],
)
def test_times_of_the_wrong_kind_are_refused(times: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        whizbang.publish(OpenOrder(order_id="1"), **times)
    assert not InboxMessage.objects.exists()
