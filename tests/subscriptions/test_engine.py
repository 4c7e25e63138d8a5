"""Projections and subscribers: in order, once, whatever fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

import whizbang
from tests.shop.messages import NoteOrder, OpenOrder, OrderGone, OrderNoted
from tests.shop.models import CustomerTotal, Heard, OrderSummary
from whizbang import Context, subscribes
from whizbang.models import EventType, ParkedStream, Partition, Rebuild, Stream, Subscription
from whizbang.operations.parked import retry_parked
from whizbang.operations.rebuild import request_rebuild
from whizbang.operations.status import overview, subscription_statuses
from whizbang.projections.declaration import instances
from whizbang.subscriptions.engine import Engine
from whizbang.subscriptions.runner import StaleLease

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
NAME = "shop.OrderSummaries"


def note(order_id: str, *texts: str) -> None:
    for text in texts:
        whizbang.event_store().append(
            f"shop.Order-{order_id}", [OrderNoted(order_id=order_id, text=text)]
        )


def test_worker_that_begins_anew_goes_on_with_what_it_holds_by_its_rows() -> None:
    """It has lost its connection, and did not give its leases back; they last for half a minute."""
    note("1", "a")
    _run_turns(Engine(whizbang.event_store(), "worker"))
    note("1", "b")
    _run_turns(Engine(whizbang.event_store(), "worker"))
    assert OrderSummary.objects.get(order_id="1").notes == 2


def _run_turns(engine: Engine) -> None:
    for _ in range(5):  # the first ones share the work out
        engine.run_once()


def test_catalogue_lists_streams(drain: Drain) -> None:
    note("1", "a", "b")
    drain()
    stream = Stream.objects.get()
    assert (stream.name, stream.category, stream.version) == ("shop.Order-1", "shop.Order", 2)


def test_poison_parks_its_stream_and_the_others_go_on(drain: Drain) -> None:
    note("1", "a", "poison", "b")
    note("2", "a", "b")
    drain()
    assert OrderSummary.objects.get(order_id="2").notes == 2
    assert OrderSummary.objects.get(order_id="1").notes == 1
    parked = ParkedStream.objects.get()
    assert (parked.subscription, parked.version) == (NAME, 2)
    assert "cannot be projected" in parked.error


def test_retry_after_a_fix_applies_the_parked_events_in_order(drain: Drain) -> None:
    note("1", "a", "poison", "b")
    drain()
    note("1", "c")
    drain()
    OrderSummary.objects.filter(order_id="1").update(status="cured")
    retry_parked(NAME)
    drain()
    assert OrderSummary.objects.get(order_id="1").notes == 4
    assert not ParkedStream.objects.exists()


def test_retry_without_a_fix_stays_parked(drain: Drain) -> None:
    note("1", "poison")
    drain()
    retry_parked(NAME)
    drain()
    assert ParkedStream.objects.get().attempts == 2


def test_deleted_row_is_gone(drain: Drain) -> None:
    note("1", "a", "delete")
    drain()
    assert not OrderSummary.objects.exists()


def test_stale_worker_cannot_move_the_checkpoint() -> None:
    first = Engine(whizbang.event_store(), "first")
    first.run_once()
    note("1", "a")
    Partition.objects.update(epoch=99)
    runner = next(r for r in first.runners if r.definition.name == NAME)
    first._read()
    rows = list(first._buffer)
    with pytest.raises(StaleLease):
        runner.run(rows, rows[-1].position)
    assert not OrderSummary.objects.exists()


def test_second_worker_leaves_leased_subscriptions_alone() -> None:
    first, second = (Engine(whizbang.event_store(), name) for name in ("first", "second"))
    first.run_once()
    note("1", "a")
    assert second.run_once() == 0
    assert first.run_once() > 0
    first.close()
    note("1", "b")
    assert second.run_once() > 0
    second.close()


def test_rebuild_refills_async_and_inline_projections(drain: Drain) -> None:
    for number in range(5):
        whizbang.send(OpenOrder(order_id=str(number)))
    drain()
    OrderSummary.objects.all().delete()
    CustomerTotal.objects.update(orders=99)
    Heard.objects.all().delete()
    for name in (NAME, "shop.CustomerTotals"):
        request_rebuild(name)
    drain()
    assert set(Rebuild.objects.values_list("status", "events")) == {("done", 5)}
    assert OrderSummary.objects.filter(status="open").count() == 5
    assert CustomerTotal.objects.get().orders == 5
    assert not Heard.objects.exists()
    whizbang.send(NoteOrder(order_id="1", text="after"))
    drain()
    assert OrderSummary.objects.get(order_id="1").notes == 1


def test_status_tells_lag_and_a_changed_version(drain: Drain) -> None:
    note("1", "a")
    drain()
    projection = next(p for p in instances() if p.name == NAME)
    type(projection).version = 2
    try:
        status = next(s for s in subscription_statuses() if s.name == NAME)
    finally:
        type(projection).version = 1
    assert status.needs_rebuild
    assert status.lag_events == 0


def test_rebuild_parks_a_poisoned_stream_and_folds_the_rest(drain: Drain) -> None:
    note("1", "a", "poison", "b")
    note("2", "a", "b")
    drain()
    request_rebuild(NAME)
    drain()
    assert Rebuild.objects.get().status == "done"
    assert dict(OrderSummary.objects.values_list("order_id", "notes")) == {"1": 1, "2": 2}
    assert ParkedStream.objects.get(subscription=NAME).version == 2


def test_rebuild_is_refused_while_the_log_has_types_that_nobody_knows(drain: Drain) -> None:
    note("1", "a")
    drain()
    EventType.objects.create(name="shop.Renamed", first_position=1)
    request_rebuild(NAME)
    drain()
    run = Rebuild.objects.get()
    assert run.status == "failed"
    assert "shop.Renamed" in run.error
    assert OrderSummary.objects.get().notes == 1


def test_checkpoint_of_another_store_stops_its_subscription(drain: Drain) -> None:
    note("1", "a")
    drain()
    Subscription.objects.filter(name=NAME).update(store_id=uuid4())
    note("1", "b")
    drain()
    row = Subscription.objects.get(name=NAME)
    assert "another store" in row.error
    assert OrderSummary.objects.get().notes == 1
    assert Stream.objects.get().version == 2


def test_event_that_always_loses_its_race_is_parked_in_the_end(
    drain: Drain, isolated_registry: None
) -> None:
    @subscribes(OrderNoted)
    def lose(event: OrderNoted, context: Context) -> None:
        whizbang.event_store().append(
            f"shop.Order-{event.order_id}", [OrderGone(order_id="1")], expected=whizbang.NO_STREAM
        )

    drain()
    note("1", "a")
    for _ in range(25):
        drain()
    assert ParkedStream.objects.get().subscription.endswith("lose")


def test_unknown_type_is_named_by_status() -> None:
    EventType.objects.create(name="shop.Renamed", first_position=1)
    assert overview()["unknown_types"] == ["shop.Renamed"]
