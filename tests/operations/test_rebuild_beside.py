"""A rebuild in a table of its own: looked at, published, cancelled, resumed and undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

import whizbang
from tests.shop.messages import OrderNoted, OrderOpened
from tests.shop.models import CustomerTotal, OrderSummary
from tests.shop.projections import OrderSummaries
from whizbang.models import Lease, ParkedStream, Rebuild, RebuildShare, Subscription
from whizbang.operations.rebuild import (
    RebuildFailed,
    RebuildPart,
    cancel_rebuild,
    open_rebuild,
    publish_rebuild,
    reading,
    rebuild_here,
    request_rebuild,
    resume_rebuild,
    shares,
)
from whizbang.operations.rebuild.watch import Watch
from whizbang.operations.status import subscription_statuses

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_tables_of_rebuilds"),
]
requires_postgres = pytest.mark.requires_postgres
Drain = Callable[..., Any]
NAME = "shop.OrderSummaries"


def call(*arguments: str) -> str:
    output = StringIO()
    call_command("whizbang", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def orders(drain: Drain) -> None:
    for number in range(4):
        note(number)
    drain()


def note(number: int, text: str = "a") -> None:
    event = OrderNoted(order_id=str(number), text=text)
    whizbang.event_store().append(f"shop.Order-{number}", [event])


def notes() -> dict[str, int]:
    return dict(OrderSummary.objects.order_by("order_id").values_list("order_id", "notes"))


def spoil() -> None:
    """What a rebuild will mend: a row that is wrong, one that is missing, and one too many."""
    OrderSummary.objects.filter(order_id="0").update(notes=7)
    OrderSummary.objects.filter(order_id="1").delete()
    OrderSummary.objects.create(order_id="x")


def rebuilt(**options: Any) -> Rebuild:
    return rebuild_here(request_rebuild(NAME, **options)[0])


def test_held_rebuild_shows_what_it_would_change_and_waits(orders: None, drain: Drain) -> None:
    spoil()
    run = rebuilt(is_held=True)
    assert (run.status, run.phase) == ("running", "held")
    assert notes()["0"] == 7
    found = run.difference
    assert {name: found[name] for name in ("live_rows", "new_rows")} == {
        "live_rows": 4,
        "new_rows": 4,
    }
    assert (found["only_live"], found["only_new"], found["differing"]) == (1, 1, 1)
    assert found["live_position"] == found["new_position"]
    samples = {sample["key"]: sample for sample in found["samples"]}
    assert samples["0"] == {"key": "0", "live": {"notes": "7"}, "new": {"notes": "1"}}
    assert samples["x"]["new"] is None
    note(0)
    drain()  # a worker leaves it alone, and the live rows go on
    assert notes()["0"] == 8
    assert RebuildPart(whizbang.event_store(), "worker").run_once() == 0
    publish_rebuild(NAME)
    drain()
    run.refresh_from_db()
    assert (run.status, run.events, run.rows) == ("done", 5, 4)
    assert notes() == {"0": 2, "1": 1, "2": 1, "3": 1}
    assert not RebuildShare.objects.exists()


def test_comparison_of_rows_that_lag_says_where_each_stood(orders: None) -> None:
    note(0)  # which nobody has projected
    run = rebuilt(is_held=True)
    assert run.difference["live_position"] < run.difference["new_position"]
    assert run.difference["differing"] == 1
    assert "not one moment" in call("rebuilds", NAME)
    cancel_rebuild(NAME)


def test_command_line_holds_lists_publishes_and_cancels(orders: None) -> None:
    spoil()
    said = call("rebuild", NAME, "--hold", "--now", "--reason", "looks odd")
    assert "4 rows instead of 4: 1 new, 1 gone, 1 different" in said
    assert "0: {'notes': '7'} -> {'notes': '1'}" in said
    assert f"rebuild {Rebuild.objects.get().pk} running: held, 4 events" in call("status")
    listed = json.loads(call("rebuilds", "--json"))
    assert (listed["status"], listed["percent"], listed["reason"]) == (
        "running",
        100.0,
        "looks odd",
    )
    assert "is published by a worker" in call("rebuild", NAME, "--publish")
    with pytest.raises(CommandError, match="is not held"):
        call("rebuild", NAME, "--publish")
    assert f"Rebuild {Rebuild.objects.get().pk} of {NAME} ends within" in call(
        "rebuild", NAME, "--cancel"
    )
    assert rebuild_here(Rebuild.objects.get()).status == "cancelled"
    with pytest.raises(CommandError, match="No rebuild of"):
        call("rebuild", NAME, "--cancel")
    assert "Rebuilt" in call("rebuild", NAME, "--resume", "--now")
    assert notes() == {"0": 1, "1": 1, "2": 1, "3": 1}
    with pytest.raises(CommandError, match="the last one is done"):
        call("rebuild", NAME, "--resume")


def test_cancelled_rebuild_goes_on_with_what_it_has(
    orders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil()
    folds = count_folds(monkeypatch)
    rebuilt(is_held=True)
    run = cancel_rebuild(NAME)
    assert run.status == "cancelled"
    assert open_rebuild(whizbang.event_store(), NAME) is None
    note(1)
    resumed = resume_rebuild(NAME)
    assert resumed.pk == run.pk
    rebuild_here(resumed)
    publish_rebuild(NAME)
    assert rebuild_here(resumed).status == "done"
    assert len(folds) == 1
    assert notes() == {"0": 1, "1": 2, "2": 1, "3": 1}


def count_folds(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    folds: list[None] = []
    fold_all = OrderSummaries.fold_all

    def fold(self: Any, *args: Any, **options: Any) -> Any:
        folds.append(None)
        return fold_all(self, *args, **options)

    monkeypatch.setattr(OrderSummaries, "fold_all", fold)
    return folds


def test_rebuild_of_other_code_does_not_go_on_with_the_old_rows(
    orders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = count_folds(monkeypatch)
    rebuilt(is_held=True)
    cancel_rebuild(NAME)
    monkeypatch.setattr(OrderSummaries, "version", 2)
    run = rebuild_here(resume_rebuild(NAME))
    assert len(folds) == 2
    publish_rebuild(NAME)
    rebuild_here(run)
    assert Subscription.objects.get(name=NAME).version == 2


def test_rebuild_is_cancelled_while_it_folds(orders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_REPORT_EVENTS", 1)
    request_rebuild(NAME)
    check = Watch.check

    def check_and_cancel(self: Watch) -> None:
        if self.run.phase == "" and RebuildShare.objects.filter(events=4).exists():
            Rebuild.objects.update(is_cancel_requested=True)
        check(self)

    monkeypatch.setattr(Watch, "check", check_and_cancel)
    run = rebuild_here(Rebuild.objects.get())
    assert (run.status, run.is_cancel_requested) == ("cancelled", False)
    share = RebuildShare.objects.get()
    assert (share.events, share.is_done) == (4, False)
    assert not Lease.objects.exclude(owner="").exists()
    monkeypatch.undo()
    assert rebuild_here(resume_rebuild(NAME)).status == "done"
    assert notes() == {"0": 1, "1": 1, "2": 1, "3": 1}


def test_stream_that_fails_is_parked_in_the_new_rows_as_it_is_live(
    orders: None, drain: Drain
) -> None:
    for text in ("poison", "a"):
        note(1, text)
    drain()
    assert ParkedStream.objects.get().subscription == NAME
    run = rebuilt(is_held=True)
    note(2, "poison")
    note(2)
    drain()
    publish_rebuild(NAME)
    rebuild_here(run)
    parked = ParkedStream.objects.filter(subscription=NAME).order_by("stream")
    assert [p.stream for p in parked] == ["shop.Order-1", "shop.Order-2"]
    assert notes() == {"0": 1, "1": 1, "2": 1, "3": 1}


def test_inline_projection_is_rebuilt_beside_the_live_rows(drain: Drain) -> None:
    for number, customer in enumerate("aab"):
        opened = OrderOpened(order_id=str(number), customer_id=customer, total=1, currency="EUR")
        whizbang.event_store().append(f"shop.Order-{number}", [opened])
    CustomerTotal.objects.filter(customer_id="a").update(orders=9)
    name = "shop.CustomerTotals"
    run = rebuild_here(request_rebuild(name, is_held=True)[0])
    assert run.difference["differing"] == 1
    assert run.difference["live_position"] == run.difference["new_position"]
    opened = OrderOpened(order_id="9", customer_id="b", total=1, currency="EUR")
    whizbang.event_store().append("shop.Order-9", [opened])
    publish_rebuild(name)
    assert rebuild_here(run).status == "done"
    assert dict(CustomerTotal.objects.values_list("customer_id", "orders")) == {"a": 2, "b": 2}


@requires_postgres
def test_undo_puts_the_old_rows_back_caught_up(orders: None, drain: Drain) -> None:
    spoil()
    note(3, "poison")
    drain()
    run = rebuilt()
    assert (run.status, run.method) == ("done", "swap")
    assert notes() == {"0": 1, "1": 1, "2": 1, "3": 1}
    note(0)
    drain()
    assert "Undo" in call("rebuild", NAME, "--undo", "--reason", "wrong numbers")
    drain()
    assert Rebuild.objects.latest("id").status == "done"
    assert notes() == {"0": 8, "2": 1, "3": 1, "x": 0}
    assert [p.stream for p in ParkedStream.objects.filter(subscription=NAME)] == ["shop.Order-3"]
    note(2)
    drain()
    assert notes()["2"] == 2
    call("rebuild", NAME, "--undo", "--now")
    assert notes() == {"0": 2, "1": 1, "2": 2, "3": 1}
    names = {status.name for status in subscription_statuses()}
    assert not {name for name in names if "@" in name}
    assert "are dropped" in call("rebuild", NAME, "--drop-old")
    with pytest.raises(CommandError, match="are kept"):
        call("rebuild", NAME, "--undo")
    with pytest.raises(CommandError, match="are kept"):
        call("rebuild", NAME, "--drop-old")


@requires_postgres
def test_undo_asks_for_the_code_that_filled_the_kept_rows(
    orders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OrderSummaries, "version", 2)
    rebuilt()
    with pytest.raises(CommandError, match="filled by version 1 .*deploy that code first"):
        call("rebuild", NAME, "--undo")
    monkeypatch.undo()
    call("rebuild", NAME, "--undo", "--now")
    assert Subscription.objects.get(name=NAME).version == 1


@requires_postgres
def test_undo_of_an_inline_projection(drain: Drain) -> None:
    def open_order(number: int) -> None:
        opened = OrderOpened(order_id=str(number), customer_id="a", total=1, currency="EUR")
        whizbang.event_store().append(f"shop.Order-{number}", [opened])

    open_order(1)
    CustomerTotal.objects.update(orders=5)
    name = "shop.CustomerTotals"
    rebuild_here(request_rebuild(name)[0])
    open_order(2)
    assert CustomerTotal.objects.get().orders == 2
    call("rebuild", name, "--undo", "--now")
    assert CustomerTotal.objects.get().orders == 6
    open_order(3)
    assert CustomerTotal.objects.get().orders == 7


def test_rows_that_merge_replaced_are_not_kept(orders: None) -> None:
    rebuilt(method="merge")
    with pytest.raises(CommandError, match="published by swap keeps"):
        call("rebuild", NAME, "--undo")


def test_what_is_impossible_is_refused_in_words(orders: None) -> None:
    with pytest.raises(CommandError, match="method is 'quick'"):
        call("rebuild", NAME, "--method", "quick")
    with pytest.raises(CommandError, match="says no partition_by"):
        call("rebuild", NAME, "--shares", "2")
    with pytest.raises(CommandError, match="shares is 0"):
        call("rebuild", NAME, "--shares", "0")
    if connection.vendor != "postgresql":
        with pytest.raises(CommandError, match="cannot put a table in another one's place"):
            call("rebuild", NAME, "--method", "swap")
    with pytest.raises(CommandError, match="can only be refilled"):
        call("rebuild", NAME, "--method", "refill", "--hold")


def test_failed_rebuild_is_resumed_where_it_failed(
    orders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = count_folds(monkeypatch)

    def refuse(*args: Any, **options: Any) -> None:
        raise ValueError("no comparison today")

    monkeypatch.setattr("whizbang.operations.rebuild.beside.compare", refuse)
    with pytest.raises(RebuildFailed, match="no comparison today"):
        rebuilt()
    note(0)
    monkeypatch.setattr("whizbang.operations.rebuild.beside.compare", lambda *args: {"new_rows": 4})
    assert rebuild_here(resume_rebuild(NAME)).status == "done"
    assert len(folds) == 1
    assert notes()["0"] == 2


@pytest.mark.usefixtures("orders")
def test_shares_are_folded_by_whoever_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OrderSummaries, "partition_by", "stream", raising=False)
    run, _ = request_rebuild(NAME, shares=3)
    helper = RebuildPart(whizbang.event_store(), "helper")
    are_open, helped = shares.are_open, []

    def help_first(*args: Any, **options: Any) -> bool:
        if not helped:
            helped.append(helper.run_once())
        return are_open(*args, **options)

    monkeypatch.setattr("whizbang.operations.rebuild.beside.are_open", help_first)
    done = rebuild_here(run)
    assert done.status == "done"
    assert helped == [3]
    assert notes() == {"0": 1, "1": 1, "2": 1, "3": 1}
