"""Workers keep a bounded history of figures, each counted up to a bound."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import whizbang
from tests.operations.overview.samples import NAME, sample
from tests.shop.messages import NOON, OpenOrder, OrderNoted
from whizbang.drivers.clock import database_now
from whizbang.models import (
    DeadLetter,
    InboxMessage,
    MetricSample,
    OutboxMessage,
    Partition,
    SagaInstance,
    SagaTimeout,
    WorkerProcess,
)
from whizbang.operations.metrics import MetricsPart
from whizbang.operations.overview import sampling, standing
from whizbang.operations.overview.figures import Figures, LetterFigures, measure
from whizbang.operations.overview.standing import QuickAge
from whizbang.operations.worker import Worker
from whizbang.testing import drain

pytestmark = pytest.mark.django_db


def note(order_id: str = "1", text: str = "a") -> None:
    events = [OrderNoted(order_id=order_id, text=text)]
    whizbang.event_store().append(f"shop.Order-{order_id}", events)


def kept() -> list[Figures]:
    store = whizbang.event_store()
    since = database_now(store.using) - timedelta(days=2)
    return [s.figures for s in sampling.newest_samples(store, limit=10_000, since=since)]


def add_letters(count: int, *, type: str = "shop.OpenOrder", reason: str = "boom") -> None:
    known: dict[str, Any] = {"payload": b"", "metadata": b"", "occurred_at": NOON, "attempts": 1}
    DeadLetter.objects.bulk_create(
        DeadLetter(message_id=uuid4(), type=type, reason=reason, error="", **known)
        for _ in range(count)
    )


def test_worker_takes_a_sample_and_the_next_one_waits_for_its_time() -> None:
    note()
    Worker(name="one").run(until_idle=True)
    Worker(name="two").run(until_idle=True)
    assert [figures.head for figures in kept()] == [whizbang.event_store().head()]
    MetricSample.objects.update(at=timezone.now() - timedelta(seconds=20))
    Worker(name="three").run(until_idle=True)
    assert len(kept()) == 2


def test_drain_takes_none() -> None:
    note()
    drain()
    assert not MetricSample.objects.exists()


def test_only_who_holds_the_lease_measures() -> None:
    store = whizbang.event_store()
    first, second = (MetricsPart(store, name, keeps_samples=True) for name in ("one", "two"))
    first.run_once()
    MetricSample.objects.all().delete()
    second.run_once()
    assert not MetricSample.objects.exists()
    first.close()
    MetricsPart(store, "three", keeps_samples=True).run_once()
    assert MetricSample.objects.count() == 1


def test_figures_tell_what_waits() -> None:
    store = whizbang.event_store()
    note("1", "poison")
    drain()
    note("2")
    whizbang.publish(OpenOrder(order_id="3"))
    add_letters(2)
    add_letters(1, reason="bang")
    OutboxMessage.objects.create(
        service="stock",
        message_id=uuid4(),
        type="stock.Reserve",
        payload=b"",
        metadata=b"",
        occurred_at=database_now(store.using) - timedelta(seconds=90),
        available_at=NOON,
    )
    past = database_now(store.using) - timedelta(minutes=5)
    known: dict[str, Any] = {"saga": "trips.TripBooking", "key": "1"}
    blank: dict[str, Any] = {"version": 1, "state": b"{}", "plans": b"{}", "origin": b"{}"}
    SagaInstance.objects.create(
        stream="trips.TripBooking-1",
        last_step="x",
        started_at=NOON,
        stepped_at=NOON,
        **known,
        **blank,
    )
    for name, parked_at in (("late", None), ("broken", past)):
        SagaTimeout.objects.create(stream="s", name=name, due_at=past, parked_at=parked_at, **known)
    found = measure(store).figures
    assert found.head == store.head()
    assert found.subscriptions[NAME].lag_events
    assert found.subscriptions[NAME].parked == found.parked == 1
    assert found.inbox == {"stored": 1, "running": 0, "retrying": 0}
    assert found.outbox == 1
    assert found.outbox_oldest_seconds is not None and 85 < found.outbox_oldest_seconds < 300
    assert found.dead_letters == DeadLetter.objects.count()
    assert LetterFigures("shop.OpenOrder", "boom", 2) in found.letter_groups
    assert (found.sagas_open, found.timeouts_overdue, found.timeouts_failed) == (1, 1, 1)


def test_counts_stop_at_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    add_letters(5)
    add_letters(2, reason="newest")
    for _ in range(4):
        whizbang.publish(OpenOrder(order_id=uuid4().hex))
    with CaptureQueriesContext(connection) as captured:
        found = measure(whizbang.event_store(), most=3).figures
    assert (found.dead_letters, found.inbox["stored"], found.counted_to) == (3, 3, 3)
    groups = {group.reason: group.letters for group in found.letter_groups}
    assert groups == {"newest": 2, "boom": 1}  # of the newest three
    counts = [
        q["sql"] for q in captured if "COUNT(" in q["sql"] and "parked_stream" not in q["sql"]
    ]
    assert counts and all("LIMIT" in sql or "GROUP BY" in sql for sql in counts)


def test_handled_messages_do_not_wait() -> None:
    whizbang.publish(OpenOrder(order_id="1"))
    drain()
    assert InboxMessage.objects.exists()
    assert not any(measure(whizbang.event_store()).figures.inbox.values())


def test_age_is_that_of_the_first_event_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    drain()
    note()
    # Positions go on from test to test, those of a server's database at least.
    monkeypatch.setattr(standing, "_MOST_POSITIONS", 10**9)
    found = measure(whizbang.event_store()).figures.subscriptions
    assert found["shop.hear_opened"].lag_events  # it has not looked at it yet
    assert found["shop.hear_opened"].lag_seconds == 0.0
    # Behind what is searched any event counts.
    monkeypatch.setattr(standing, "_MOST_POSITIONS", 0)
    found = measure(whizbang.event_store()).figures.subscriptions
    assert found["shop.hear_opened"].lag_seconds != 0.0


def test_quick_ages_take_one_statement_for_those_at_the_same_position() -> None:
    drain()
    note()
    store = whizbang.event_store()
    measure(store)  # the clock is known now
    behind = Partition.objects.filter(position__lt=store.head()).count()
    assert behind > 3
    with CaptureQueriesContext(connection) as captured:
        measure(store, age=QuickAge())
    reads = [q["sql"] for q in captured if "whizbang_event" in q["sql"] and "payload" in q["sql"]]
    assert len(reads) <= Partition.objects.values("position").distinct().count()


def test_what_is_old_goes_and_so_do_workers_of_yesterday(monkeypatch: pytest.MonkeyPatch) -> None:
    sample(seconds_ago=25 * 3600, head=1)
    for number in range(5):
        sample(seconds_ago=100 - number, head=2 + number)
    old = timezone.now() - timedelta(days=2)
    row: dict[str, Any] = {"service": "s", "host": "h", "process_id": 1, "parts": "events"}
    WorkerProcess.objects.create(name="gone", started_at=old, seen_at=old, **row)
    WorkerProcess.objects.create(name="here", started_at=old, seen_at=timezone.now(), **row)
    monkeypatch.setattr(sampling, "_MOST_SAMPLES", 3)
    sampling.keep_sample(whizbang.event_store(), Figures(head=9))
    assert [figures.head for figures in kept()] == [5, 6, 9]
    assert [worker.name for worker in WorkerProcess.objects.all()] == ["here"]


def test_one_sample_removes_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        sample(seconds_ago=25 * 3600)
    monkeypatch.setattr(sampling, "_STEP", 2)
    sampling.keep_sample(whizbang.event_store(), Figures(head=9))
    assert MetricSample.objects.count() == 4


def test_sample_of_another_version_is_left_out() -> None:
    MetricSample.objects.create(at=timezone.now(), figures={"head": "far"})
    MetricSample.objects.create(at=timezone.now(), figures={"head": 3, "news": 1})
    assert [figures.head for figures in kept()] == [3]
