"""A dry run: what today's handlers would change, with no write whatever they do."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction

import whizbang
from tests.processes import stop, wait_until
from tests.scenarios.read_model import at_once, has_caught_up, note, rows, start_worker
from tests.shop.messages import OrderNoted, OrderOpened, ShipOrder
from tests.shop.models import CustomerTotal, Heard, OrderSummary
from tests.shop.projections import OrderSummaries
from whizbang import Context, Projection, on, subscribes
from whizbang.drivers.read_only import WriteRefused
from whizbang.exceptions import WhizbangError
from whizbang.models import InboxMessage, ParkedStream, Partition, StoredEvent, Subscription
from whizbang.operations.dry_run import _ModelRun, dry_run
from whizbang.operations.scope import Scope
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.start import ensure_rows

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
NAME = "shop.OrderSummaries"
ALL = Scope(everything=True)


def open_order(order_id: str, total: str = "2.50") -> None:
    opened = OrderOpened(order_id=order_id, customer_id="c1", total=Decimal(total), currency="EUR")
    whizbang.event_store().append(f"shop.Order-{order_id}", [opened])


def note_text(order_id: str, *texts: str) -> None:
    events = [OrderNoted(order_id=order_id, text=text) for text in texts]
    whizbang.event_store().append(f"shop.Order-{order_id}", events)


def content() -> list[Any]:
    """Everything that a dry run could change."""
    return [
        list(model.objects.order_by("pk").values_list())
        for model in (OrderSummary, CustomerTotal, Heard, InboxMessage, ParkedStream, StoredEvent)
    ]


def stand_at_the_end() -> None:
    store = whizbang.event_store()
    ensure_rows(all_definitions(store))
    Partition.objects.update(position=store.head())


def name_of(part: str) -> str:
    return next(
        d.name for d in all_definitions(whizbang.event_store()) if d.name.endswith(f".{part}")
    )


# A ModelProjection


def test_all_of_history_is_compared_with_the_live_rows(drain: Drain) -> None:
    open_order("1", "2.504")  # the column rounds it: no difference
    note(2, 2)
    note(3)
    note(4)
    drain()
    OrderSummary.objects.filter(order_id="2").update(notes=7)
    OrderSummary.objects.filter(order_id="3").delete()
    OrderSummary.objects.create(order_id="9")
    before = content()
    result = dry_run(NAME, ALL)
    counts = (result.rows_made, result.rows_changed, result.rows_removed, result.rows_same)
    assert counts == (1, 1, 1, 2) and result.is_compared
    told = {(s.key, s.change): s.fields for s in result.samples}
    assert told == {
        ("2", "changed"): {"notes": ("7", "2")},
        ("3", "made"): {},
        ("9", "removed"): {},
    }
    assert (result.events, result.failed) == (5, 0)
    assert content() == before


def test_events_behind_the_checkpoint_are_not_missed(drain: Drain) -> None:
    note(1)
    drain()
    note(1)
    assert dry_run(NAME, ALL).rows_same == 1


def test_part_of_history_is_applied_on_top_of_the_live_rows(drain: Drain) -> None:
    note(1, 2)
    note_text("2", "a", "delete")
    note(3)
    drain()
    before = content()
    result = dry_run(NAME, Scope(streams=("shop.Order-1", "shop.Order-2")))
    assert [(s.key, s.change, s.fields) for s in result.samples] == [
        ("1", "changed", {"notes": ("2", "4")})
    ]
    assert (result.rows_changed, result.rows_made, result.is_compared) == (1, 0, False)
    assert content() == before


def test_samples_are_bounded(drain: Drain) -> None:
    for order in range(30):
        note(order)
    drain()
    OrderSummary.objects.all().delete()
    result = dry_run(NAME, ALL)
    assert result.rows_made == 30 and len(result.samples) == 20


def test_failing_events_are_told_once_a_kind_and_set_their_stream_aside(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_halfway(self: Any, row: OrderSummary, event: OrderNoted, meta: Any) -> None:
        row.notes += 1
        if event.text == "bad":
            raise LookupError("half done")

    note_text("1", "a", "bad", "b", "c")
    note_text("2", "bad")
    note_text("3", "a")
    drain()
    projection = next(d for d in all_definitions(whizbang.event_store()) if d.name == NAME)
    routes = projection.projection._routes  # type: ignore[attr-defined]
    (_, by), *_ = routes[OrderNoted]
    broken = [(fail_halfway.__get__(projection), by)]
    monkeypatch.setitem(routes, OrderNoted, broken)
    result = dry_run(NAME, ALL)
    (failure,) = result.failures
    assert (failure.kind, failure.count, failure.stream, failure.version) == (
        "LookupError",
        2,
        "shop.Order-1",
        2,
    )
    assert (result.failed, result.events_set_aside) == (2, 2)
    told = {(s.key, s.change): s.fields for s in result.samples}
    # The failing event itself has changed nothing of its row.
    assert told == {("1", "changed"): {"notes": ("4", "1")}, ("2", "removed"): {}}


def test_inline_projection_is_compared_with_what_is_recorded(drain: Drain) -> None:
    open_order("1")
    open_order("2")
    assert dry_run("shop.CustomerTotals", ALL).rows_same == 1
    CustomerTotal.objects.update(orders=9)
    (sample,) = dry_run("shop.CustomerTotals", ALL).samples
    assert sample.fields == {"orders": ("9", "2")}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scope", [ALL, Scope(last_events=5)])
@pytest.mark.parametrize("raw", [False, True])
def test_code_that_writes_is_refused_and_nothing_stays(
    drain: Drain, monkeypatch: pytest.MonkeyPatch, scope: Scope, raw: bool
) -> None:
    def prefetch(self: Any, events: Any) -> None:
        transaction.on_commit(lambda: pytest.fail("a commit"))
        Heard.objects.exists()
        if raw:
            with connection.cursor() as cursor:
                cursor.execute("/* a */ DELETE FROM shop_heard")
        Heard.objects.create(text="written")

    note(1)
    drain()
    monkeypatch.setattr(OrderSummaries, "prefetch", prefetch)
    before = content()
    with pytest.raises(WriteRefused, match="DELETE FROM" if raw else "INSERT INTO"):
        dry_run(NAME, scope)
    assert content() == before
    Heard.objects.create(text="writes are possible again")


@pytest.mark.django_db(transaction=True)
def test_database_itself_refuses_what_the_watch_does_not_see(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement on the driver's own cursor passes Django's wrappers."""

    def prefetch(self: Any, events: Any) -> None:
        connection.connection.cursor().execute("DELETE FROM shop_ordersummary")

    note(1)
    drain()
    monkeypatch.setattr(OrderSummaries, "prefetch", prefetch)
    result = dry_run(NAME, ALL)
    assert result.failed == 1 and "read" in result.failures[0].error.lower()
    assert rows() == {"1": 1}


@pytest.mark.django_db(transaction=True)
def test_rows_are_compared_at_the_position_of_the_fold(child_environment: dict[str, str]) -> None:
    """While a worker projects: a comparison with rows of another position would see differences."""
    found: list[int] = []

    def look() -> None:
        for _ in range(10):
            result = dry_run(NAME, ALL)
            found.append(result.rows_made + result.rows_changed + result.rows_removed)

    note(1)
    with start_worker(child_environment, BATCH_SIZE=1) as process:
        wait_until(lambda: rows() == {"1": 1})
        at_once(lambda: note(1, 80), look)
        wait_until(has_caught_up)
        stop(process)
    assert found == [0] * 10


@pytest.mark.requires_server
@pytest.mark.django_db(transaction=True)
def test_projection_stands_still_while_its_rows_are_compared(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move() -> str:
        try:
            with transaction.atomic():
                Subscription.objects.select_for_update(nowait=True).get(name=NAME)
        except OperationalError:
            return "held"
        return "free"

    def compare_beside_another(self: Any, fold: Any) -> None:
        answers.extend(at_once(move))
        compare(self, fold)

    answers: list[str] = []
    note(1)
    drain()
    compare = _ModelRun._compare
    monkeypatch.setattr(_ModelRun, "_compare", compare_beside_another)
    dry_run(NAME, ALL)
    assert answers == ["held"] and move() == "free"


@pytest.mark.django_db(transaction=True)
def test_inline_rows_are_compared_in_one_snapshot_with_the_log(
    drain: Drain,
) -> None:
    found: list[int] = []

    def write() -> None:
        for number in range(60):
            open_order(f"{number}")

    def look() -> None:
        for _ in range(10):
            result = dry_run("shop.CustomerTotals", ALL)
            found.append(result.rows_made + result.rows_changed + result.rows_removed)

    open_order("first")
    at_once(write, look)
    assert found == [0] * 10


# Code in free form, and subscribers


@pytest.fixture
def diary(isolated_registry: None, drain: Drain) -> str:
    class Diary(Projection):
        @on(OrderNoted)
        def note(self, event: OrderNoted, meta: Any) -> None:
            if event.text == "bad":
                Heard.objects.all().delete()
                raise LookupError("half done")
            transaction.on_commit(lambda: pytest.fail("a commit"))
            Heard.objects.create(text=event.text)

        def clear(self) -> None:
            Heard.objects.filter(text="old").delete()

    Heard.objects.create(text="old")
    note_text("1", "a", "b")
    note_text("2", "a", "bad", "c")
    stand_at_the_end()
    return name_of("Diary")


def test_free_form_needs_to_be_allowed(diary: str) -> None:
    with pytest.raises(WhizbangError, match="mails, HTTP calls"):
        dry_run(diary, ALL)


def test_free_form_is_run_watched_and_undone(diary: str) -> None:
    before = content()
    result = dry_run(diary, ALL, allow_outside_effects=True)
    assert content() == before
    assert result.statements["shop_heard"] >= 5
    assert result.rows["shop_heard"] >= 4
    assert (result.failed, result.events_set_aside, result.events) == (1, 1, 5)
    part = dry_run(diary, Scope(streams=("shop.Order-1",)), allow_outside_effects=True)
    assert (part.rows, part.failed, part.is_compared) == ({"shop_heard": 2}, 0, False)


def test_what_a_subscriber_sends_and_records_is_told_and_not_done(
    isolated_registry: None, drain: Drain
) -> None:
    @subscribes(OrderNoted, backfill_from=whizbang.BEGINNING)
    def hear(event: OrderNoted, context: Context) -> None:
        context.send(ShipOrder(order_id=event.order_id))
        context.record("shop.Order-9", OrderNoted(order_id="9", text="heard"))

    note_text("1", "a", "b")
    before = content()
    stand_at_the_end()
    result = dry_run(name_of("hear"), ALL, allow_outside_effects=True)
    assert (result.messages, result.recorded) == ({"shop.ShipOrder": 2}, {"shop.OrderNoted": 2})
    assert content() == before


def test_catalogue_has_nothing_to_try() -> None:
    with pytest.raises(WhizbangError, match="no code of yours"):
        dry_run("whizbang.streams", ALL)


# Command line


def call(*arguments: str) -> str:
    out = StringIO()
    call_command("whizbang", "dry-run", *arguments, stdout=out)
    return out.getvalue()


def test_dry_run_on_the_command_line(drain: Drain) -> None:
    note(1, 2)
    note_text("2", "poison", "a")
    drain()
    OrderSummary.objects.update(notes=5)
    said = call(NAME, "--everything")
    assert "4 events up to position" in said
    assert "Rows: 0 would be made, 1 changed, 0 removed, 0 stay the same." in said
    assert "  1 changed notes '5' -> '2'" in said
    assert "1 × ValueError shop.OrderNoted (first: shop.Order-2 version 1" in said
    assert "1 events stand behind these." in said
    told = json.loads(call(NAME, "--everything", "--json"))
    assert told["rows_changed"] == 1 and told["failures"][0]["schema"] is None
    with pytest.raises(CommandError, match="Say which events"):
        call(NAME)
