"""Bulk import: events in their order, in bounded memory, seen by everybody like any others."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Event as Flag
from typing import Any

import pytest
from django.db import connection

import whizbang
from tests.drivers.stores.rows import run_together
from tests.shop.messages import OrderGone, OrderNoted, OrderOpened
from tests.shop.models import CustomerTotal, OrderSummary
from whizbang.domain import bulk_import
from whizbang.exceptions import ConcurrencyError, InvalidMessage
from whizbang.models import Stream
from whizbang.store.event_store import EventStore, ImportedEvent

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(1997, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def store() -> EventStore:
    return whizbang.event_store()


def noted(order_id: str, text: str = "a") -> OrderNoted:
    return OrderNoted(order_id=order_id, text=text)


def name(order_id: str) -> str:
    return f"shop.Order-{order_id}"


def log(store: EventStore) -> list[tuple[str, int]]:
    return [(r.meta.stream, r.meta.version) for r in store.read_all(limit=None)]


def test_events_are_stored_in_their_order_across_streams(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_import, "CHUNK_EVENTS", 2000)
    chance = random.Random(1)
    ids = [str(chance.randint(1, 40)) for _ in range(5000)]
    told: list[int] = []
    count = store.import_events(
        ((name(id), noted(id, str(n))) for n, id in enumerate(ids)), on_stored=told.append
    )
    assert count == 5000 and told == [2000, 4000, 5000]
    read = list(store.read_all(limit=None))
    assert [r.event.text for r in read] == [str(n) for n in range(5000)]
    for id in set(ids):
        versions = [r.meta.version for r in store.read_stream(name(id))]
        assert versions == list(range(1, ids.count(id) + 1))


def test_streams_are_continued(store: EventStore) -> None:
    store.append(name("1"), [noted("1"), noted("1")])
    store.import_events(
        [(name("1"), noted("1")), (name("2"), noted("2"), 1), (name("1"), noted("1"), 4)]
    )
    assert log(store)[2:] == [(name("1"), 3), (name("2"), 1), (name("1"), 4)]


@pytest.mark.parametrize("version", [0, 1, 2, 4])
def test_version_that_is_not_the_next_is_refused(store: EventStore, version: int) -> None:
    store.append(name("1"), [noted("1"), noted("1")])
    with pytest.raises(ConcurrencyError) as caught:
        store.import_events([(name("2"), noted("2")), (name("1"), noted("1"), version)])
    assert (caught.value.stream, caught.value.actual) == (name("1"), 2)
    assert len(log(store)) == 2


def test_hole_between_given_versions_is_refused(store: EventStore) -> None:
    with pytest.raises(ConcurrencyError):
        store.import_events([(name("1"), noted("1"), 1), (name("1"), noted("1"), 3)])
    assert log(store) == []


def test_what_is_said_of_an_event_is_kept(store: EventStore) -> None:
    id = "0192f0c1-2345-7abc-8def-000000000001"
    store.import_events([ImportedEvent(name("1"), noted("1"), 1, NOON, "importer", id)])
    (recorded,) = store.read_stream(name("1"))
    meta = recorded.meta
    assert (meta.occurred_at, meta.user, str(meta.message_id)) == (NOON, "importer", id)
    assert meta.recorded_at is not None
    assert abs(meta.recorded_at - datetime.now(UTC)) < timedelta(minutes=5)


def test_everybody_sees_them_as_any_others(store: EventStore, drain: Callable[..., Any]) -> None:
    """The catalogue, an async projection, an inline one, and an inline subscriber that records more."""
    opened = [
        OrderOpened(order_id=str(n), customer_id="vip", total=Decimal(n), currency="EUR")
        for n in range(10)
    ]
    store.import_events((name(event.order_id), event) for event in opened)
    assert CustomerTotal.objects.get().orders == 10
    drain()
    assert Stream.objects.count() == OrderSummary.objects.filter(notes=1).count() == 10


def test_message_that_is_not_valid_leaves_earlier_chunks(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_import, "CHUNK_EVENTS", 2)
    events = [*(noted("1") for _ in range(3)), OrderNoted(order_id="1", text="\0")]
    told: list[int] = []
    with pytest.raises(InvalidMessage):
        store.import_events(((name("1"), event) for event in events), on_stored=told.append)
    assert told == [2] and len(log(store)) == 2


ODD = "\\ \\n tab\t line\n return\r quote\" ' \x7f ä 🙂 \\. \u2028"


def test_odd_characters_arrive_as_they_are(store: EventStore) -> None:
    store.import_events([(name(ODD), noted("1", ODD)), (name("2"), noted("2", "\\N"))])
    assert [(r.meta.stream, r.event.text) for r in store.read_all()] == [
        (name(ODD), ODD),
        (name("2"), "\\N"),
    ]


def test_events_may_be_read_from_the_same_database_meanwhile(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who converts old tables asks the connection for each row, also while a chunk is being stored."""
    monkeypatch.setattr(bulk_import, "CHUNK_EVENTS", 3)

    def convert() -> Iterator[tuple[str, OrderNoted]]:
        for n in range(10):
            with connection.cursor() as cursor:
                cursor.execute("SELECT %s + 1", [n])
                yield name("1"), noted("1", str(cursor.fetchone()[0]))

    assert store.import_events(convert()) == 10
    assert [r.event.text for r in store.read_all()] == [str(n) for n in range(1, 11)]


def test_refused_metadata_stores_nothing_of_its_chunk(store: EventStore) -> None:
    """It is found while the database takes the events before."""
    with pytest.raises(ValueError, match="time zone"):
        store.import_events(
            [(name("1"), noted("1")), (name("1"), noted("1"), 2, datetime(2020, 1, 1))]
        )
    assert log(store) == []
    assert store.append(name("1"), [noted("1")]) == 1


def test_chunks_are_bounded_in_bytes(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_import, "CHUNK_BYTES", 5_000)
    told: list[int] = []
    store.import_events(
        ((name("1"), noted("1", "x" * 2_000)) for _ in range(7)), on_stored=told.append
    )
    assert told == [3, 6, 7]


@pytest.mark.requires_postgres
def test_planner_knows_of_a_big_import(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a read by type sorts all that follows, for each page: minutes instead of seconds."""
    monkeypatch.setattr(bulk_import, "BIG_IMPORT", 10_000)
    store.import_events((name(str(n)), noted("1")) for n in range(10_000))
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = 'whizbang_event'::regclass")
        assert cursor.fetchone()[0] > 5_000


def test_imports_of_the_same_streams_go_on_behind_each_other(store: EventStore) -> None:
    def run(number: int) -> int:
        return store.import_events((name(str(n % 3)), noted(str(n % 3))) for n in range(300))

    assert run_together(3, run) == [300] * 3
    assert sorted(log(store)) == [(name(str(i)), v) for i in range(3) for v in range(1, 301)]


def test_follower_sees_an_import_whole_and_in_order(store: EventStore) -> None:
    """Other writers append in between, and the positions of a chunk are drawn before it commits."""
    is_done = Flag()

    def work(number: int) -> Any:
        if number == 0:
            store.import_events((name(str(n)), OrderGone(order_id=str(n))) for n in range(6000))
            return is_done.set()
        if number == 1:
            return list(follow())
        while not is_done.is_set():
            store.append(name("other"), [noted("1")])
        return None

    def follow() -> Iterator[int]:
        tail = store.driver.tail(after=0)
        was_done = False
        while (rows := tail.read(limit=500)) or not was_done:
            yield from (row.position for row in rows)
            was_done = is_done.is_set() and not tail.explain()

    handed = run_together(3, work)[1]
    stored = [r.meta.position for r in store.read_all(limit=None)]
    assert handed == stored[: len(handed)] and len(handed) >= 6000
