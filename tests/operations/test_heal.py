"""Healing one stream: its rows as a rebuild would make them, or a refusal that says why."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import whizbang
from tests.processes import stop, wait_until
from tests.scenarios.read_model import at_once, fold, has_caught_up, rows, start_worker
from tests.shop.messages import OrderNoted, OrderOpened
from tests.shop.models import CustomerTotal, Heard, OrderSummary
from tests.shop.projections import OrderSummaries
from whizbang import Projection, on
from whizbang.models import ParkedStream
from whizbang.operations import heal
from whizbang.operations.edits import edit_parked
from whizbang.operations.heal import HealFailed, HealRefused, heal_stream
from whizbang.operations.parked import skip_parked

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
NAME = "shop.OrderSummaries"
TOTALS = "shop.CustomerTotals"
STREAM = "shop.Order-1"


def note(*texts: str, order_id: str = "1", stream: str = "") -> None:
    events = [OrderNoted(order_id=order_id, text=text) for text in texts]
    whizbang.event_store().append(stream or f"shop.Order-{order_id}", events)


def open_order(order_id: str, customer_id: str) -> None:
    opened = OrderOpened(
        order_id=order_id, customer_id=customer_id, total=Decimal("2.50"), currency="EUR"
    )
    whizbang.event_store().append(f"shop.Order-{order_id}", [opened])


def spoil(order_id: str = "1") -> None:
    OrderSummary.objects.filter(order_id=order_id).update(notes=99, status="spoilt")


def test_rows_of_the_stream_are_made_anew_and_no_others(drain: Drain) -> None:
    open_order("1", "c1")
    note("a", "b")
    note("a", order_id="2")
    drain()
    spoil("1")
    spoil("2")
    healed = heal_stream(NAME, STREAM)
    row = OrderSummary.objects.get(order_id="1")
    assert (row.notes, row.status, row.total) == (2, "open", Decimal("2.50"))
    assert OrderSummary.objects.get(order_id="2").notes == 99
    assert (healed.events, healed.rows, healed.removed, healed.was_parked) == (3, 1, 0, False)


def test_row_that_history_has_deleted_is_removed(drain: Drain) -> None:
    note("a", "delete")
    drain()
    OrderSummary.objects.create(order_id="1")
    assert heal_stream(NAME, STREAM).removed == 1
    assert not OrderSummary.objects.exists()


def test_events_after_the_checkpoint_are_left_to_the_worker(drain: Drain) -> None:
    note("a")
    drain()
    note("b")
    assert heal_stream(NAME, STREAM).events == 1
    assert rows() == {"1": 1}
    drain()
    assert rows() == {"1": 2}


def test_row_that_another_stream_writes_to_is_refused(drain: Drain) -> None:
    note("a")
    note("a", order_id="1", stream="shop.Order-2")
    drain()
    spoil()
    with pytest.raises(HealRefused, match=r"Row '1' of .* is written by stream 'shop.Order-2' too"):
        heal_stream(NAME, STREAM)
    assert rows() == {"1": 99}


def test_other_writer_that_comes_after_the_look_is_refused(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    note("a")
    drain()
    hold = heal._hold

    def come_late(*arguments: Any) -> int:
        note("a", order_id="1", stream="shop.Order-2")
        drain()
        return hold(*arguments)

    monkeypatch.setattr(heal, "_hold", come_late)
    with pytest.raises(HealRefused, match="Order-2"):
        heal_stream(NAME, STREAM)
    assert rows() == {"1": 2}


def test_row_that_the_stream_comes_to_after_the_look_is_looked_at_too(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    note("a", order_id="9", stream="shop.Order-9")
    note("a")
    drain()
    hold = heal._hold

    def come_late(*arguments: Any) -> int:
        note("a", order_id="9", stream=STREAM)
        drain()
        return hold(*arguments)

    monkeypatch.setattr(heal, "_hold", come_late)
    with pytest.raises(HealRefused, match=r"Row '9' .* 'shop.Order-9'"):
        heal_stream(NAME, STREAM)
    assert rows() == {"1": 1, "9": 2}


def test_event_of_others_that_cannot_be_read_is_refused_unless_it_is_parked(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    note("a")
    note("a", order_id="2")
    drain()
    keyed = OrderSummaries.keyed

    def refuse_order_2(self: Any, events: Any) -> Any:
        events = list(events)
        if any(event.order_id == "2" for event, _ in events):
            raise LookupError("unreadable")
        return keyed(self, events)

    monkeypatch.setattr(OrderSummaries, "keyed", refuse_order_2)
    with pytest.raises(HealRefused, match=r"Nobody can tell .* 'shop.Order-2'.*unreadable"):
        heal_stream(NAME, STREAM)
    ParkedStream.objects.create(
        subscription=NAME, stream="shop.Order-2", position=2, version=1, type="t", error="e"
    )
    assert heal_stream(NAME, STREAM).events == 1


def test_parked_stream_is_not_parked_any_more(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **known: Any) -> None:
        raise ValueError("broken")

    note("a")
    with monkeypatch.context() as patch:
        patch.setattr(OrderSummaries, "apply_batch", refuse)
        drain()
    note("b")
    drain()
    assert ParkedStream.objects.exists() and rows() == {}
    assert heal_stream(NAME, STREAM).was_parked
    assert rows() == {"1": 2} and not ParkedStream.objects.exists()
    note("c")
    drain()
    assert rows() == {"1": 3}


def test_event_that_still_fails_leaves_all_as_it_was(drain: Drain) -> None:
    note("a", "poison", "b")
    drain()
    spoil()
    with pytest.raises(HealFailed, match=r"at version 2, position .*cannot be projected"):
        heal_stream(NAME, STREAM)
    assert rows() == {"1": 99} and ParkedStream.objects.exists()


def test_skipped_event_stays_left_out_and_an_edited_one_is_taken(drain: Drain) -> None:
    note("a", "poison", "poison", "b")
    drain()
    skip_parked(NAME, stream=STREAM, reason="A typo.")
    drain()
    payload = {"order_id": "1", "text": "mended"}
    edit_parked(NAME, stream=STREAM, payload=payload, reason="A typo.")
    assert heal_stream(NAME, STREAM).was_parked
    assert rows() == {"1": 3}


def test_stream_with_very_many_rows_is_refused(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    for order_id in "123":
        note("a", order_id=order_id, stream=STREAM)
    drain()
    monkeypatch.setattr(heal, "_MOST_KEYS", 2)
    with pytest.raises(HealFailed, match="more than 2 rows"):
        heal_stream(NAME, STREAM)


def test_inline_projection_is_healed_with_writers_held_up(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_order("1", "c1")
    open_order("2", "c2")
    CustomerTotal.objects.update(orders=99)
    held: list[bool] = []
    driver = whizbang.event_store().driver
    hold = driver.hold_appends
    monkeypatch.setattr(driver, "hold_appends", lambda: (held.append(True), hold()))
    heal_stream(TOTALS, STREAM)
    assert dict(CustomerTotal.objects.values_list("customer_id", "orders")) == {"c1": 1, "c2": 99}
    assert held == [True]
    open_order("3", "c1")
    with pytest.raises(HealRefused, match="'c1'"):
        heal_stream(TOTALS, STREAM)


def test_free_form_needs_clear_stream(isolated_registry: None, drain: Drain) -> None:
    class Diary(Projection):
        @on(OrderNoted)
        def note(self, event: OrderNoted, meta: Any) -> None:
            Heard.objects.create(text=f"{meta.stream} {event.text}")

    class ClearableDiary(Diary):
        def clear_stream(self, stream: str) -> None:
            Heard.objects.filter(text__startswith=f"{stream} ").delete()

    note("a", "b")
    drain()
    with pytest.raises(HealRefused, match="clear_stream"):
        heal_stream(next(n for n in _names() if n.endswith(".Diary")), STREAM)
    Heard.objects.all().delete()
    Heard.objects.create(text=f"{STREAM} wrong")
    healed = heal_stream(next(n for n in _names() if n.endswith(".ClearableDiary")), STREAM)
    assert list(Heard.objects.order_by("id").values_list("text", flat=True)) == [
        f"{STREAM} a",
        f"{STREAM} b",
    ]
    assert (healed.events, healed.rows) == (2, None)


def _names() -> list[str]:
    return [projection.name for projection in whizbang.projections.declaration.instances()]


def test_heal_on_the_command_line(drain: Drain) -> None:
    note("a", "b")
    drain()
    spoil()
    out = StringIO()
    call_command("whizbang", "heal", NAME, STREAM, "--reason", "spoilt by hand", stdout=out)
    assert out.getvalue() == f"{STREAM} is healed in {NAME}: 2 events, 1 rows written, 0 removed.\n"
    with pytest.raises(CommandError, match="No projection 'shop.Nothing': there are"):
        call_command("whizbang", "heal", "shop.Nothing", STREAM)


@pytest.mark.django_db(transaction=True)
def test_heal_while_a_worker_projects_loses_and_doubles_nothing(
    child_environment: dict[str, str],
) -> None:
    def write() -> None:
        for _ in range(60):
            note("a")
            note("a", order_id="2")

    def heal_again_and_again() -> None:
        for _ in range(20):
            heal_stream(NAME, STREAM)

    note("a")
    with start_worker(child_environment, BATCH_SIZE=3) as process:
        wait_until(lambda: rows() == {"1": 1})
        at_once(write, heal_again_and_again)
        wait_until(has_caught_up)
        stop(process)
    assert rows() == fold() == {"1": 61, "2": 60}
