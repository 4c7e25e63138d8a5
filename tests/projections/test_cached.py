"""What a cached projection holds and says, brought up to date by hand as in users' tests."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.management import CommandError, call_command

import whizbang
from tests.shop.messages import OpenOrder, OrderGone, OrderNoted
from tests.shop.projections import CachedOrder, NoteCounts, OrderCache
from whizbang import DELETE, BrokenEntry, CachedProjection, WhizbangError, WrongMode, on
from whizbang.models import StoredEvent, Subscription
from whizbang.operations.history import rewriting
from whizbang.operations.status import subscription_statuses
from whizbang.operations.subscriptions import pause
from whizbang.projections.cached.contents import MOST_FAILURES
from whizbang.projections.declaration import problems
from whizbang.testing import forget_caches

Drain = Callable[..., Any]
pytestmark = pytest.mark.django_db


def note(order_id: str, *texts: str) -> None:
    events = [OrderNoted(order_id=order_id, text=text) for text in texts]
    whizbang.event_store().append(f"shop.Order-{order_id}", events)


def test_first_read_fills_it_from_history() -> None:
    whizbang.send(OpenOrder(order_id="1"))
    note("1", "a", "b")
    order = OrderCache.get("1")
    assert (order.status, order.notes) == ("open", ["a", "b"])
    assert OrderCache.get("2") is None
    assert OrderCache.get("2", "nothing") == "nothing"


def test_drain_brings_it_up_to_date(drain: Drain) -> None:
    note("1", "a")
    assert OrderCache.get("1").notes == ["a"]
    note("1", "b")
    assert OrderCache.get("1").notes == ["a"]
    drain()
    assert OrderCache.get("1").notes == ["a", "b"]


def test_method_may_return_another_entry_or_delete_it(drain: Drain) -> None:
    note("1", "a")
    whizbang.event_store().append("shop.Order-1", [OrderGone(order_id="1")])
    note("2", "a", "delete")
    note("3", "a", "delete", "b")
    assert OrderCache.get("1") == CachedOrder("gone", Decimal(0), ["a"])
    assert OrderCache.get("2") is None
    assert OrderCache.get("3").notes == ["b"]
    note("3", "delete")
    drain()
    assert OrderCache.keys() == ["1"]


def test_several_keys_of_one_event_and_plain_values() -> None:
    note("1", "a", "b")
    note("2", "a")
    assert dict(NoteCounts.items()) == {"1": 2, "2": 1, "all": 3}
    assert NoteCounts.get_many(["all", "2", "9"]) == {"all": 3, "2": 1}
    assert NoteCounts.count() == 3


def test_value_that_was_read_does_not_change_afterwards(drain: Drain) -> None:
    note("1", "a")
    seen = OrderCache.get("1")
    note("1", "b")
    drain()
    assert seen.notes == ["a"]
    assert OrderCache.get("1").notes == ["a", "b"]


@pytest.mark.parametrize("is_filled", [True, False])
def test_failing_event_breaks_its_key_and_nothing_else(drain: Drain, is_filled: bool) -> None:
    note("1", "a")
    if is_filled:
        OrderCache.start()
    note("1", "poison", "b")
    note("2", "a")
    drain()
    for _ in range(2):
        with pytest.raises(
            BrokenEntry, match=r"'1'.*shop.OrderNoted at position \d+.*cannot be cached"
        ):
            OrderCache.get("1")
    with pytest.raises(BrokenEntry):
        OrderCache.get_many(["2", "1"])
    assert OrderCache.get("2").notes == ["a"]
    assert OrderCache.keys() == ["2"]
    assert list(OrderCache.broken_keys()) == ["1"]


def test_payload_that_does_not_decode_is_left_out(drain: Drain, caplog: Any) -> None:
    note("1", "a")
    with rewriting(reason="test"):
        StoredEvent.objects.filter(stream="shop.Order-1").update(payload={"order_id": 7})
    note("2", "a")
    assert OrderCache.keys() == ["2"]
    assert "Event left out of a cache" in caplog.text


def test_more_entries_than_declared_are_refused(
    monkeypatch: pytest.MonkeyPatch, drain: Drain
) -> None:
    monkeypatch.setattr(OrderCache, "max_entries", 2)
    note("1", "a")
    note("2", "a")
    note("3", "a", "delete")
    assert OrderCache.count() == 2
    note("4", "a")
    drain()
    with pytest.raises(WhizbangError, match="more than 2 entries.*max_entries"):
        OrderCache.get("1")


def test_very_many_broken_keys_stop_it(drain: Drain) -> None:
    for number in range(MOST_FAILURES):
        note(str(number), "poison")
    note("ok", "a")
    assert OrderCache.get("ok").notes == ["a"]
    note("ko", "poison")
    drain()
    with pytest.raises(WhizbangError, match=f"more than {MOST_FAILURES} events"):
        OrderCache.get("ok")


def test_history_that_was_rewritten_fills_it_anew(drain: Drain) -> None:
    note("1", "a", "typo")
    assert OrderCache.get("1").notes == ["a", "typo"]
    with rewriting(reason="test"):
        StoredEvent.objects.filter(stream="shop.Order-1", version=2).delete()
    drain()
    assert OrderCache.get("1").notes == ["a"]


def test_no_worker_runs_it(drain: Drain) -> None:
    note("1", "a")
    drain()
    assert not Subscription.objects.filter(name="shop.OrderCache").exists()
    assert "shop.OrderCache" not in [status.name for status in subscription_statuses()]
    with pytest.raises(WhizbangError, match="memory of each process"):
        pause("shop.OrderCache")


def test_reading_costs_no_query(django_assert_num_queries: Any) -> None:
    note("1", "a")
    OrderCache.start()
    with django_assert_num_queries(0):
        assert OrderCache.get("1").notes == ["a"]
        assert OrderCache.is_current()


def test_async_code_fills_it_before_it_reads() -> None:
    note("1", "a")

    async def read() -> Any:
        with pytest.raises(WrongMode, match="astart"):
            OrderCache.get("1")
        await OrderCache.astart()
        return OrderCache.get("1").notes

    assert async_to_sync(read)() == ["a"]


@pytest.mark.usefixtures("isolated_registry")
def test_declarations_that_cannot_work_are_named() -> None:
    class Wrong(CachedProjection):
        using = "default"
        delivery = "inline"

        @on(OrderNoted)
        def get(self, entry: Any, event: Any, meta: Any) -> object:  # type: ignore[override]
            return DELETE

    text = " ".join(problems(Wrong))
    for part in ("entry = dict", "delivery is 'inline'", "using is 'default'", "'get'", "needs by"):
        assert part in text


def test_class_that_does_not_run_holds_nothing() -> None:
    with pytest.raises(TypeError, match="abstract"):
        CachedProjection.get("1")


@pytest.mark.django_db(transaction=True)
def test_wait_until_and_wait_for_by_hand() -> None:
    whizbang.send(OpenOrder(order_id="1"), wait_for=[OrderCache])
    assert OrderCache.get("1").status == "open"
    note("1", "a")
    head = whizbang.event_store().head()
    OrderCache.wait_until(head)
    assert OrderCache.get("1").notes == ["a"]
    async_to_sync(OrderCache.await_until)(head)


def test_forgotten_caches_are_filled_anew() -> None:
    note("1", "a")
    OrderCache.start()
    note("1", "b")
    forget_caches()
    assert OrderCache.get("1").notes == ["a", "b"]


def test_rebuild_is_refused_with_the_reason() -> None:
    with pytest.raises(CommandError, match="memory of each process"):
        call_command("whizbang", "rebuild", "shop.OrderCache")
