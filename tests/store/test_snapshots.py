"""Snapshots change how long loading takes, and nothing else."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import whizbang
from tests.shop.messages import OrderNoted
from whizbang import Aggregate, Event, Value, applies, upcasts
from whizbang.checks import check_aggregates
from whizbang.domain.unit_of_work import UnitOfWork
from whizbang.models import Snapshot, StoredEvent
from whizbang.operations.history import rewriting
from whizbang.store import snapshots
from whizbang.store.event_store import event_store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("isolated_registry")]
numbers = itertools.count(1)


class Item(Value):
    name: str
    price: Decimal


def declare(*, every: int = 5, version: int = 1, **other: Any) -> tuple[type[Any], type[Any]]:
    """An aggregate with state of many kinds, and its event. Again is a deploy of other code."""

    @whizbang.named("shop.BagFilled")
    class BagFilled(Event):
        name: str
        price: Decimal = Decimal(0)
        at: datetime | None = None
        count: int = 0
        ratio: float = 0.0

    class Bag(Aggregate):
        category = "shop.Bag"
        snapshot_every = every
        snapshot_version = version
        names: dict[str, int] = {}
        tags: set[str] = set()
        items: list[Item] = []
        total: Decimal = Decimal("0.00")
        last: datetime | None = None
        numbers: dict[int, float] = {}
        first: str  # without a default: it may be missing

        @applies(BagFilled)
        def _filled(self, event: Any) -> None:
            if event.name not in {"", "x", "y", "z"} and not self.names:
                self.first = event.name
            self.names[event.name] = self.names.get(event.name, 0) + 1
            self.tags ^= {event.name}
            self.items.append(Item(name=event.name, price=event.price))
            self.total += event.price
            self.last = event.at
            self.numbers[event.count] = event.ratio

    return Bag, BagFilled


def fill(bag: type[Any], event: type[Any], id: str, count: int, **columns: Any) -> None:
    events = [
        event(name=f"n{number % 3}", price=Decimal("1.10"), **columns) for number in range(count)
    ]
    event_store().append(bag.stream_of(id), events)


def state_of(aggregate: Any) -> dict[str, Any]:
    """All of it, with types, and dicts in their order."""
    state = {k: v for k, v in aggregate.__dict__.items() if not k.startswith("_")}
    return {
        name: (type(value), list(value.items()) if isinstance(value, dict) else value)
        for name, value in state.items()
    }


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
zones = st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-3.5))])
fillings = st.fixed_dictionaries(
    {
        "name": texts,
        "price": st.decimals(-1000, 1000, places=3),
        "at": st.none() | st.datetimes(timezones=zones),
        "count": st.integers(-(2**63), 2**63 - 1),
        "ratio": st.floats(allow_nan=False, allow_infinity=False),
    }
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(fillings, min_size=1, max_size=12), st.data())
def test_state_is_the_same_at_every_version(history: list[Any], data: Any) -> None:
    bag, event = declare()
    store, id = event_store(), f"{next(numbers)}"
    done = 0
    while done < len(history):
        size = data.draw(st.integers(1, len(history) - done))
        events = [event(**filling) for filling in history[done : done + size]]
        store.append(bag.stream_of(id), events)
        done += size
        if data.draw(st.booleans()):
            assert snapshots.take_snapshot(store, bag, id)
    versions = range(1, done + 1)
    found = [state_of(store.load(bag, id, until=version)) for version in versions]
    many = state_of(store.load_many(bag, {bag.stream_of(id): id})[bag.stream_of(id)])
    current = state_of(store.load(bag, id))
    Snapshot.objects.all().delete()
    assert found == [state_of(store.load(bag, id, until=version)) for version in versions]
    assert current == many == found[-1]


def test_snapshot_is_read_with_one_more_statement_and_spares_the_events_before() -> None:
    bag, event = declare()
    fill(bag, event, "1", 20)
    snapshots.take_snapshot(event_store(), bag, "1")
    fill(bag, event, "1", 2)
    decoded: list[int] = []
    with CaptureQueriesContext(connection) as captured:
        plain = event_store().driver.read_state
        rows = [*plain(bag.stream_of("1"), after=19)]
        decoded += [row[0] for row in rows]
        before = len(captured)
        loaded = event_store().load(bag, "1")
    assert (loaded.version, len(captured) - before) == (22, 2)
    assert decoded == [20, 21, 22]


def test_past_is_not_told_by_a_later_snapshot() -> None:
    bag, event = declare()
    fill(bag, event, "1", 7)
    snapshots.take_snapshot(event_store(), bag, "1")
    past = whizbang.history(bag, "1")
    assert past.as_of(version=6).total == Decimal("6.60")
    assert past.as_of(version=7).total == past.as_of(version=8).total == Decimal("7.70")
    assert past.as_of(recorded=datetime(2000, 1, 1, tzinfo=UTC)).version == 0
    assert past.as_of(occurred=datetime(2000, 1, 1, tzinfo=UTC)).version == 0


@pytest.mark.django_db(transaction=True)
def test_snapshot_is_taken_after_the_commit_that_reaches_a_multiple() -> None:
    bag, event = declare(every=3)

    def record(count: int) -> None:
        with transaction.atomic():
            unit = UnitOfWork(None)
            loaded = unit.load(bag, "1")
            for _ in range(count):
                loaded.record(event(name="a"))
            loaded.total = Decimal(-1)  # what no event says is not kept
            unit.commit()
            assert taken() == before

    expected = []
    for count in (2, 2, 1, 1, 7):
        before = taken()
        record(count)
        expected.append(taken())
    assert expected == [None, 4, 4, 6, 13]
    assert event_store().load(bag, "1").total == Decimal("0.00")
    assert Snapshot.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_rolled_back_events_leave_no_snapshot() -> None:
    bag, event = declare(every=1)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        unit = UnitOfWork(None)
        unit.load(bag, "1").record(event(name="a"))
        unit.commit()
        raise ZeroDivisionError
    assert taken() is None


def taken() -> int | None:
    return Snapshot.objects.values_list("version", flat=True).first()


@pytest.fixture
def kept() -> Iterator[tuple[type[Any], type[Any]]]:
    """Five events, of which the snapshot says something else, so that its use can be seen."""
    bag, event = declare()
    fill(bag, event, "1", 5)
    snapshots.take_snapshot(event_store(), bag, "1")
    row = Snapshot.objects.get()
    Snapshot.objects.update(state=bytes(row.state).replace(b'"5.50"', b'"99"'))
    assert event_store().load(bag, "1").total == 99
    yield bag, event


def total_of(bag: type[Any]) -> Any:
    return event_store().load(bag, "1").total


def test_same_code_uses_it(kept: Any) -> None:
    assert total_of(declare()[0]) == 99


def test_fingerprint_is_the_same_in_every_process() -> None:
    """Sets have another order in each."""
    code = (
        "import django; django.setup()\n"
        "from tests.store.test_snapshots import declare\n"
        "from whizbang.store.snapshot_format import state_format\n"
        "print(state_format(declare()[0]).fingerprint)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "DJANGO_SETTINGS_MODULE": "tests.settings"},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


def test_raised_version_drops_it(kept: Any) -> None:
    assert total_of(declare(version=2)[0]) == Decimal("5.50")


def test_new_upcaster_drops_it(kept: Any) -> None:
    bag, event = declare()

    @upcasts(event, from_version=1)
    def dearer(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "price": "2.00"}

    assert total_of(bag) == Decimal("10.00")


def test_another_state_drops_it(kept: Any) -> None:
    bag, _ = declare()

    class Bag(bag):  # type: ignore[misc,valid-type]
        category = "shop.Bag"
        color: str = "red"

    Bag.__module__, Bag.__qualname__ = bag.__module__, bag.__qualname__
    assert total_of(Bag) == Decimal("5.50")


def test_changed_applier_drops_it(kept: Any) -> None:
    bag, event = declare()

    class Bag(bag):  # type: ignore[misc,valid-type]
        category = "shop.Bag"

        @applies(event)
        def _filled(self, event: Any) -> None:
            self.total += 2 * event.price

    Bag.__module__, Bag.__qualname__ = bag.__module__, bag.__qualname__
    assert total_of(Bag) == Decimal("11.00")


@pytest.mark.parametrize("state", [b"", b"\xff", b"[]", b'{"total": []}', b"[" * 100_000])
def test_state_that_cannot_be_read_is_ignored(
    kept: Any, state: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    Snapshot.objects.update(state=state)
    with caplog.at_level(logging.WARNING, "whizbang"):
        assert total_of(kept[0]) == Decimal("5.50")
    assert "Snapshot ignored" in caplog.text


def test_snapshot_without_its_events_is_ignored(kept: Any) -> None:
    """Else a writer would go on at version 6 of a stream that ends at 4."""
    state = Snapshot.objects.get()
    with rewriting(reason="a restore by hand"):
        StoredEvent.objects.filter(version=5).delete()
    state.save(force_insert=True)
    assert event_store().load(kept[0], "1").version == 4


def test_rewriting_history_drops_all(kept: Any) -> None:
    with rewriting(reason="anything"):
        pass
    assert not Snapshot.objects.exists()


def test_state_that_json_would_change_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Aggregate):
        category = "shop.Odd"
        snapshot_every = 1
        anything: Any = None
        amount: float = 0.0

        @applies(OrderNoted)
        def _noted(self, event: OrderNoted) -> None:
            match event.text:
                case "decimal":
                    self.anything = Decimal(1)  # would come back as text
                case "int":
                    self.amount = 1  # would come back as a float
                case "hidden":
                    self.hidden = 1  # no annotation
                case "nan":
                    self.amount = float("nan")
                case "fine":
                    self.anything = {"a": [1, None]}

    store = event_store()
    for text in ("decimal", "int", "hidden", "nan"):
        store.append(f"shop.Odd-{text}", [OrderNoted(order_id="1", text=text)])
        assert not snapshots.take_snapshot(store, Odd, text)
    store.append("shop.Odd-fine", [OrderNoted(order_id="1", text="fine")])
    assert snapshots.take_snapshot(store, Odd, "fine")
    assert "No snapshot" in caplog.text


def test_state_that_has_no_json_is_a_check_error() -> None:
    class Opaque:
        pass

    class Closed(Aggregate):
        snapshot_every = 10
        thing: Any = None

    Closed.__annotations__["thing"] = Opaque
    ids = [problem.id for problem in check_aggregates(None)]
    assert "whizbang.E032" in ids
    fill_one = [OrderNoted(order_id="1", text="a")]
    event_store().append(Closed.stream_of("1"), fill_one)
    assert event_store().load(Closed, "1").version == 1
    assert not snapshots.take_snapshot(event_store(), Closed, "1")
