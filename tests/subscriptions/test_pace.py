"""A partition that lags takes more at a time, but neither too long nor too much."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

import whizbang
from tests.shop.messages import OrderNoted
from tests.shop.models import OrderSummary
from whizbang.models import ParkedStream
from whizbang.projections.declaration import instances
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.subscriptions import runner as running
from whizbang.subscriptions.catching_up import NO_END, catch_up
from whizbang.subscriptions.pace import MOST_BATCHES, Pace
from whizbang.subscriptions.runner import SubscriptionRunner
from whizbang.subscriptions.start import ensure_rows

NAME = "shop.OrderSummaries"


@pytest.fixture(autouse=True)
def _small_batches(settings: Settings) -> None:
    settings.WHIZBANG = {**getattr(settings, "WHIZBANG", {}), "BATCH_SIZE": 2}


@pytest.fixture
def sizes(db: None, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of the batches that are applied at once."""
    found: list[int] = []
    apply = SubscriptionRunner._apply

    def note_size(self: SubscriptionRunner, wanted: list[object], upto: int) -> None:
        found.append(len(wanted))
        apply(self, wanted, upto)  # type: ignore[arg-type]

    monkeypatch.setattr(SubscriptionRunner, "_apply", note_size)
    return found


@pytest.fixture
def runner(db: None) -> Iterator[SubscriptionRunner]:
    store = whizbang.event_store()
    projection = next(p for p in instances() if p.name == NAME)
    definition = ProjectionSubscription(store, projection)
    ensure_rows([definition])
    found = SubscriptionRunner(definition)
    found.take_over(1)
    yield found


def note(order_id: str, *texts: str) -> None:
    events = [OrderNoted(order_id=order_id, text=text) for text in texts]
    whizbang.event_store().append(f"shop.Order-{order_id}", events)


def test_one_that_lags_takes_more_and_more(runner: SubscriptionRunner, sizes: list[int]) -> None:
    note("1", *["a"] * 100)
    assert catch_up(runner, until=NO_END) == 100
    assert sizes == [2, 4, 8, 16, 32, 32, 6]
    assert OrderSummary.objects.get().notes == 100


def test_poison_in_a_large_batch_parks_its_stream_alone(
    runner: SubscriptionRunner, sizes: list[int]
) -> None:
    note("1", *["a"] * 10)
    note("2", "a", "poison", "b")
    note("1", *["a"] * 10)
    assert catch_up(runner, until=NO_END) == 23
    assert ParkedStream.objects.get().stream == "shop.Order-2"
    assert dict(OrderSummary.objects.values_list("order_id", "notes")) == {"1": 20, "2": 1}
    assert max(sizes) == 8
    assert sizes[sizes.index(8) + 1] == 2  # tried again in small ones, not eight under savepoints


def test_large_events_are_not_read_all_at_once(
    runner: SubscriptionRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_MOST_BYTES", 3000)
    note("1", *["a" * 1000] * 30)
    runner._pace.note(2, 0)
    runner._pace.note(4, 0)
    rows, upto = runner.read_ahead(until=NO_END)
    assert 1 < len(rows) < 8
    assert upto == rows[-1].position
    catch_up(runner, until=NO_END)
    assert OrderSummary.objects.get().notes == 30


def test_pace_goes_down_when_a_batch_takes_long() -> None:
    pace = Pace()
    for _ in range(10):
        pace.note(pace.events, 0.01)
    assert pace.events == 2 * MOST_BATCHES
    pace.note(pace.events, 2.0)
    assert pace.events == MOST_BATCHES
    pace.note(3, 0.01)  # little was left: that says nothing
    assert pace.events == MOST_BATCHES
    assert pace.begin_anew()
    assert not pace.begin_anew()
    assert pace.events == 2


def test_pace_keeps_well_below_a_short_lease(settings: Settings) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "LEASE_SECONDS": 0.8}
    pace = Pace()
    pace.note(2, 0.06)
    assert pace.events == 2
    pace.note(2, 0.04)
    assert pace.events == 4
