"""Backfills on demand: which events, once each, whatever happens meanwhile."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import whizbang
from tests.processes import PATIENCE_SECONDS, stop, wait_until
from tests.scenarios.read_model import at_once, fold, note, position, rows, start_worker
from tests.shop.messages import OrderNoted, OrderOpened
from tests.shop.models import CustomerTotal
from tests.shop.projections import OrderSummaries
from whizbang import Context, subscribes
from whizbang.exceptions import WhizbangError
from whizbang.models import (
    Backfill,
    Lease,
    ParkedStream,
    Partition,
    Rebuild,
    SkippedEvent,
)
from whizbang.operations import backfilling
from whizbang.operations.backfill import (
    backfills,
    cancel_backfill,
    plan_backfill,
    request_backfill,
)
from whizbang.operations.backfilling import BackfillMoved, BackfillPart, backfill_here, step
from whizbang.operations.rebuild import rebuild_here, request_rebuild
from whizbang.operations.scope import Scope
from whizbang.subscriptions.leases import LeaseHolder
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.start import ensure_rows

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
NAME = "shop.OrderSummaries"
ALL = Scope(everything=True)


def begin_live() -> None:
    """The projection began behind all that is recorded, as with backfill_from = LIVE."""
    store = whizbang.event_store()
    ensure_rows(all_definitions(store))
    Partition.objects.filter(subscription=NAME).update(position=store.head())


@pytest.fixture
def missed() -> None:
    """Two orders with three notes each, before the projection began."""
    note(1, 3)
    note(2, 3)
    begin_live()


def ask(scope: Scope = ALL, **known: Any) -> Backfill:
    run, is_new = request_backfill(NAME, scope, **{"force": True, **known})
    assert is_new
    return run


def with_batches_of(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfilling, "settings", SimpleNamespace(BATCH_SIZE=size))


# What is applied


def test_worker_applies_the_events_that_the_projection_never_saw(
    missed: None, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_batches_of(4, monkeypatch)
    run = ask(requested_by="ada", reason="Summaries of old orders.")
    note(1)
    drain()
    assert rows() == fold() == {"1": 4, "2": 3}
    run.refresh_from_db()
    assert (run.status, run.events, run.events_done, run.events_left_out) == ("done", 6, 6, 0)
    assert (run.position, run.requested_by) == (run.until, "ada")
    assert run.started_at <= run.finished_at


def test_scope_ends_where_the_subscription_stands(missed: None, drain: Drain) -> None:
    note(3, 2)
    run = ask()
    assert run.events == 6
    drain()
    assert rows() == fold()


def test_scope_of_streams_and_positions_applies_nothing_else(missed: None, drain: Drain) -> None:
    ask(Scope(streams=("shop.Order-2",), last_events=2))
    drain()
    assert rows() == {"2": 2}


def test_inline_projection_is_backfilled_up_to_the_head(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = OrderOpened(order_id="1", customer_id="c1", total=1, currency="EUR")
    whizbang.event_store().append("shop.Order-1", [opened])
    CustomerTotal.objects.all().delete()
    request_backfill("shop.CustomerTotals", ALL, force=True)
    drain()
    assert CustomerTotal.objects.get().orders == 1


def test_subscriber_hears_the_past_when_it_is_forced(isolated_registry: None, drain: Drain) -> None:
    heard: list[str] = []

    @subscribes(OrderNoted)
    def hear(event: OrderNoted, context: Context) -> None:
        heard.append(event.order_id)

    note(1, 2)
    drain()
    name = next(d.name for d in all_definitions(whizbang.event_store()) if d.name.endswith(".hear"))
    Partition.objects.filter(subscription=name).update(position=whizbang.event_store().head())
    heard.clear()
    with pytest.raises(WhizbangError, match="calls it again"):
        request_backfill(name, ALL)
    request_backfill(name, ALL, force=True)
    drain()
    assert heard == ["1", "1"]


def test_what_the_subscription_leaves_out_is_left_out(missed: None, drain: Drain) -> None:
    first, second, third = (r.meta for r in whizbang.event_store().read_stream("shop.Order-1"))
    SkippedEvent.objects.create(
        subscription=NAME,
        stream=first.stream,
        position=first.position,
        version=1,
        type=first.type,
        error="",
        reason="x",
    )
    ParkedStream.objects.create(
        subscription=NAME,
        stream=third.stream,
        position=third.position,
        version=3,
        type=third.type,
        error="",
    )
    run = ask()
    drain()
    run.refresh_from_db()
    assert rows() == {"1": 1, "2": 3}
    assert (run.events_done, run.events_left_out) == (6, 2)


# What is refused


def test_events_that_may_be_applied_already_need_is_repeatable_or_force(
    missed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WhizbangError, match="is_repeatable = True"):
        request_backfill(NAME, ALL)
    assert not Backfill.objects.exists()
    monkeypatch.setattr(OrderSummaries, "is_repeatable", True)
    assert request_backfill(NAME, ALL)[1]


@pytest.mark.parametrize(
    ("name", "known", "problem"),
    [
        ("shop.Nothing", {}, "No subscription"),
        ("whizbang.streams", {}, "keeps itself"),
        (NAME, {"events_per_second": 0}, "above 0"),
    ],
)
def test_what_cannot_be_backfilled_is_refused(
    name: str, known: dict[str, Any], problem: str
) -> None:
    with pytest.raises(WhizbangError, match=problem):
        request_backfill(name, ALL, force=True, **known)


def test_subscription_has_one_open_run(missed: None, drain: Drain) -> None:
    first = ask()
    assert request_backfill(NAME, ALL, force=True) == (first, False)
    drain()
    assert request_backfill(NAME, ALL, force=True)[1]


def test_rebuild_makes_a_backfill_pointless(missed: None, drain: Drain) -> None:
    run = ask()
    build, _ = request_rebuild(NAME)
    assert step(whizbang.event_store(), run, "default") == 0  # waits
    assert rows() == {}
    rebuild_here(build)
    drain()
    run.refresh_from_db()
    assert run.status == "failed" and "made the rows anew" in run.error
    assert rows() == fold()
    ask()  # one that is asked for afterwards may go


def test_backfill_is_refused_while_a_rebuild_is_open(missed: None) -> None:
    request_rebuild(NAME)
    with pytest.raises(WhizbangError, match=r"A rebuild of .* is open"):
        request_backfill(NAME, ALL, force=True)


# Progress


def test_event_that_fails_ends_the_run_there_and_what_came_before_stays(
    missed: None, drain: Drain, caplog: pytest.LogCaptureFixture
) -> None:
    whizbang.event_store().append("shop.Order-3", [OrderNoted(order_id="3", text="poison")])
    note(2)
    begin_live()
    run = ask()
    drain()
    run.refresh_from_db()
    assert run.status == "failed"
    assert run.error.startswith(
        "ValueError: This note cannot be projected. (at version 1 of stream"
    )
    assert "Traceback" in run.error
    assert rows() == {"1": 3, "2": 3}
    assert run.events_done == 6
    poison = next(whizbang.event_store().read_stream("shop.Order-3")).meta.position
    ask(Scope(after=poison))
    drain()
    assert rows() == {"1": 3, "2": 4}


def test_cancelled_run_applies_nothing_more(
    missed: None, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_batches_of(2, monkeypatch)
    run = ask()
    part = BackfillPart(whizbang.event_store(), "w")
    assert part.run_once() == 2
    assert cancel_backfill(NAME).status == "cancelled"
    drain()
    run.refresh_from_db()
    assert (run.status, run.events_done) == ("cancelled", 2)
    assert rows() == {"1": 2}
    with pytest.raises(WhizbangError, match="No backfill"):
        cancel_backfill(NAME)


def test_run_that_another_worker_has_moved_is_left(
    missed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_batches_of(2, monkeypatch)
    store, run = whizbang.event_store(), ask()
    backfilling._start(run, "default")
    stale = Backfill.objects.get()
    assert step(store, run, "default") == 2
    with pytest.raises(BackfillMoved):
        step(store, stale, "default")
    assert rows() == {"1": 2}


def test_run_that_is_cancelled_meanwhile_is_left(missed: None) -> None:
    store, run = whizbang.event_store(), ask()
    backfilling._start(run, "default")
    cancel_backfill(NAME)
    with pytest.raises(BackfillMoved):
        step(store, run, "default")
    assert rows() == {}


def test_other_worker_holds_the_lease(missed: None) -> None:
    run = ask()
    assert LeaseHolder("other", using="default").epoch_of("whizbang.backfill") is not None
    assert BackfillPart(whizbang.event_store(), "w").run_once() == 0
    with pytest.raises(WhizbangError, match="A worker does backfills just now"):
        backfill_here(run)
    assert rows() == {}


def test_rate_bounds_batches_and_their_pace(missed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    fake = SimpleNamespace(monotonic=lambda: clock.now)
    monkeypatch.setattr(backfilling, "time", fake)
    ask(events_per_second=2)
    part = BackfillPart(whizbang.event_store(), "w")
    assert part.run_once() == 2
    assert part.run_once() == 0 and part.is_waiting()
    clock.now += 0.9
    assert part.run_once() == 0
    clock.now += 0.2
    assert part.run_once() == 2
    assert part.run_once(is_limited=False) == 2


def test_run_here_keeps_to_its_rate(missed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    fake = SimpleNamespace(monotonic=lambda: 100.0 + sum(naps), sleep=naps.append)
    monkeypatch.setattr(backfilling, "time", fake)
    done = backfill_here(ask(events_per_second=2))
    assert done.status == "done" and rows() == fold()
    assert sum(naps) == pytest.approx(3.0, abs=1.01)
    assert not Lease.objects.exclude(owner="").exists()


# Dry run


def test_plan_counts_and_estimates_and_changes_nothing(missed: None, drain: Drain) -> None:
    plan = plan_backfill(NAME, ALL)
    assert plan.events == 6 and plan.seconds is not None and plan.seconds > 0
    assert "is_repeatable" in plan.refusal and not plan.problem
    assert plan_backfill(NAME, ALL, events_per_second=0.5).seconds == 12
    assert rows() == {} and not Backfill.objects.exists()


def test_plan_tells_what_fails_in_the_first_batch(missed: None) -> None:
    whizbang.event_store().append("shop.Order-3", [OrderNoted(order_id="3", text="poison")])
    begin_live()
    plan = plan_backfill(NAME, ALL)
    assert plan.seconds is None and "cannot be projected" in plan.problem
    assert rows() == {}


# Command line


def call(*arguments: str) -> str:
    out = StringIO()
    call_command("whizbang", *arguments, stdout=out)
    return out.getvalue()


def test_backfill_on_the_command_line(missed: None, drain: Drain) -> None:
    assert "6 events behind position 0 up to" in call("backfill", NAME, "--everything", "--dry-run")
    assert "4 events" in call("backfill", NAME, "--last-events", "4", "--dry-run")
    with pytest.raises(CommandError, match="Say which events"):
        call("backfill", NAME)
    with pytest.raises(CommandError, match="is_repeatable"):
        call("backfill", NAME, "--everything")
    options = ("--streams", "shop.Order-1", "--since", "2000-01-01", "--force", "--reason", "old")
    said = call("backfill", NAME, *options)
    assert "is requested: 3 events; a worker does it." in said
    assert "is open already (requested)" in call("backfill", NAME, *options)
    assert re.search(r"requested 0 of 3 by command line.*: old", call("backfills"))
    assert "is cancelled after 0 of 3 events" in call("cancel", NAME)
    said = call("backfill", NAME, *options, "--rate", "1000000", "--now")
    assert "is done: 3 events." in said
    listed = [json.loads(line) for line in call("backfills", "--json").splitlines()]
    assert [run["status"] for run in listed] == ["done", "cancelled"]
    assert [run.status for run in backfills()] == ["done", "cancelled"]
    assert rows() == {"1": 3}


def test_full_backfill_is_a_rebuild(missed: None) -> None:
    with pytest.raises(CommandError, match="add --everything"):
        call("backfill", NAME, "--last-events", "4", "--full")
    assert "Rebuilt" in call("backfill", NAME, "--everything", "--full", "--now")
    assert rows() == fold() and Rebuild.objects.get().status == "done"


# Processes


def kill_one(environment: dict[str, str], step: str, **settings: Any) -> None:
    with start_worker(environment, "kill", step, batches=2, **settings) as process:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == -signal.SIGKILL, output


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", ["before the rows", "before the commit"])
def test_next_worker_goes_on_where_a_killed_one_was(
    child_environment: dict[str, str], step: str
) -> None:
    for stream in range(4):
        note(stream, 6)
    begin_live()
    run = ask()
    kill_one(child_environment, step)
    kill_one(child_environment, step)
    with start_worker(child_environment) as process:
        wait_until(lambda: Backfill.objects.get().status == "done")
        stop(process)
    run.refresh_from_db()
    assert rows() == fold()
    assert run.events_done == run.events == 24


@pytest.mark.django_db(transaction=True)
def test_without_one_transaction_events_are_lost(child_environment: dict[str, str]) -> None:
    """The test can fail: progress that commits before the rows says too much."""
    note(1, 20)
    begin_live()
    ask()
    kill_one(child_environment, "before the rows", broken="backfill")
    with start_worker(child_environment) as process:
        wait_until(lambda: Backfill.objects.get().status == "done")
        stop(process)
    assert rows()["1"] < fold()["1"]


@pytest.mark.django_db(transaction=True)
def test_backfill_beside_live_events_loses_and_doubles_nothing(
    child_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker projects what is written, on the same rows, while the backfill runs elsewhere."""

    def backfill() -> None:
        while run.status in ("requested", "running"):
            assert leases.epoch_of("whizbang.backfill") is not None  # keeps the worker off
            step(whizbang.event_store(), run, "default")
            run.refresh_from_db()

    note(1, 60)
    begin_live()
    with_batches_of(1, monkeypatch)
    run = ask()
    leases = LeaseHolder("here", using="default")
    assert leases.epoch_of("whizbang.backfill") is not None
    with start_worker(child_environment, BATCH_SIZE=1, LEASE_SECONDS=300.0) as process:
        note(1)
        wait_until(lambda: rows() == {"1": 1})
        at_once(backfill, lambda: note(1, 60))
        wait_until(lambda: position() >= whizbang.event_store().head())
        stop(process)
    assert run.status == "done"
    assert rows() == fold() == {"1": 121}
