"""What appends and imports refuse, and that what they take arrives as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

import whizbang
from tests.shop.messages import OrderNoted
from whizbang import NO_STREAM, STREAM_EXISTS, Event, StreamAppend, Value
from whizbang.exceptions import ConcurrencyError, InvalidMessage
from whizbang.messages.envelope import envelope
from whizbang.store.event_store import EventStore

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)
NOTED = OrderNoted(order_id="1", text="a")


class Amounts(Value):
    one: Decimal | None = None
    many: list[Decimal] = []
    by_name: dict[str, Decimal] = {}


class Assorted(Event):
    amounts: Amounts | None = None
    number: int | str | None = None
    anything: Any = None
    numbers: dict[str, list[int]] = {}
    ratio: float = 0.0


Write = Callable[[EventStore, str, Event], object]


def append(store: EventStore, stream: str, event: Event) -> None:
    store.append(stream, [event])


def append_two(store: EventStore, stream: str, event: Event) -> None:
    store.append(stream, [event, event])


def bring_in(store: EventStore, stream: str, event: Event) -> None:
    store.import_events([(stream, event)])


@pytest.fixture
def store() -> EventStore:
    return whizbang.event_store()


@pytest.mark.parametrize("write", [append, bring_in])
@pytest.mark.parametrize(
    "values",
    [
        {"amounts": Amounts(one=Decimal("NaN"))},
        {"amounts": Amounts(many=[Decimal("1"), Decimal("-Infinity")])},
        {"amounts": Amounts(by_name={"a": Decimal("sNaN")})},
        {"number": 2**63},
        {"number": -(2**63) - 1},
        {"numbers": {"a": [1, 2**64]}},
        {"anything": 2**70},
        {"anything": {"a": [Decimal("NaN")]}},
        {"anything": [float("nan")]},
        {"anything": "a\0b"},
        {"ratio": math.inf},
        {"number": "\ud800"},
    ],
)
def test_values_that_do_not_survive_are_refused(
    store: EventStore, write: Write, values: dict[str, Any]
) -> None:
    with pytest.raises(InvalidMessage):
        write(store, "s-1", Assorted(**values))
    assert list(store.read_all()) == []


@pytest.mark.parametrize(
    "values",
    [
        {"number": "9" * 30},
        {"number": 2**63 - 1},
        {"number": -(2**63)},
        {"anything": "NaN"},
        {"number": "Infinity"},
        {"amounts": Amounts(one=Decimal("1E+30"))},
    ],
)
def test_values_that_look_like_these_arrive(store: EventStore, values: dict[str, Any]) -> None:
    append(store, "s-1", Assorted(**values))
    bring_in(store, "s-1", Assorted(**values))
    assert [r.event for r in store.read_all()] == [Assorted(**values)] * 2


@pytest.mark.parametrize(
    "stream", ["s-\tx", "s-\\N", "s-a\\tb", "s-\r\n", "s-'%\"", "s-é🙂", "s-%s %b %(x)s", "x" * 255]
)
def test_odd_names_of_streams_are_kept(store: EventStore, stream: str) -> None:
    assert store.append(stream, [NOTED]) == 1
    assert store.append(stream, [NOTED, NOTED], expected=1) == 3
    assert store.import_events([(stream, NOTED, 4), (stream, NOTED)]) == 2
    assert [r.meta.version for r in store.read_stream(stream)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("write", [append, append_two, bring_in])
@pytest.mark.parametrize("stream", ["", "s-\0", "s-\ud800", "x" * 256])
def test_names_that_some_database_would_change_are_refused(
    store: EventStore, write: Write, stream: str
) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a stream"):
        write(store, stream, NOTED)
    append(store, "s-ok", NOTED)
    assert [r.meta.stream for r in store.read_all()] == ["s-ok"]


@pytest.mark.parametrize("events", [[NOTED], [NOTED, NOTED]])
def test_a_stream_elsewhere_is_refused_in_and_outside_a_transaction(
    store: EventStore, events: list[Event]
) -> None:
    append(store, "s-1", NOTED)
    for expected in (-1, 0, 2, 5):
        with pytest.raises(ConcurrencyError) as caught:
            store.append("s-1", events, expected=expected)
        assert (caught.value.expected, caught.value.actual) == (expected, 1)
    with pytest.raises(ConcurrencyError), transaction.atomic():
        store.append("s-1", events, expected=NO_STREAM)
    with pytest.raises(ConcurrencyError):
        store.append("s-new", events, expected=STREAM_EXISTS)
    assert store.append("s-1", events, expected=STREAM_EXISTS) == 1 + len(events)


def test_versions_come_in_the_order_of_the_streams(store: EventStore) -> None:
    append(store, "s-1", NOTED)
    appends = [
        StreamAppend("s-2", [NOTED, NOTED], NO_STREAM),
        StreamAppend("s-1", [NOTED], 1),
        StreamAppend("s-0", [], 7),
    ]
    assert store.append_many(appends) == [2, 2, 0]


@pytest.mark.parametrize("event", ["text", envelope(NOTED)])
def test_what_is_no_event_is_refused(store: EventStore, event: Any) -> None:
    with pytest.raises(TypeError, match="only events"):
        store.append("s-1", [event])


def test_what_is_known_of_events_is_kept(store: EventStore) -> None:
    store.append("s-1", [NOTED, NOTED], user="me", occurred_at=NOON)
    first, second = [r.meta for r in store.read_stream("s-1")]
    assert (first.user, first.occurred_at, first.causation_id) == ("me", NOON, None)
    assert isinstance(first.message_id, UUID) and first.message_id.version == 7
    assert first.message_id == first.correlation_id != second.message_id


def test_what_cannot_be_known_of_events_is_refused(store: EventStore) -> None:
    with pytest.raises(ValueError, match="time zone"):
        store.append("s-1", [NOTED], occurred_at=datetime(2020, 1, 1))
    with pytest.raises(TypeError, match="user must be"):
        store.append("s-1", [NOTED], user=5)
    with pytest.raises(ValueError, match="message_id"):
        store.import_events([("s-1", NOTED, None, None, None, "no id")])


def test_watched_statements_are_the_same(store: EventStore, django_assert_num_queries: Any) -> None:
    odd = OrderNoted(order_id="1", text="it's \\ %s")
    store.append("s-1", [odd])
    # A version that is expected is guarded inside the statement on PostgreSQL, and read before elsewhere.
    with django_assert_num_queries(1 if connection.vendor == "postgresql" else 2):
        store.append("s-1", [odd, odd], expected=1)
    assert [r.event for r in store.read_stream("s-1")] == [odd] * 3


def test_source_of_an_import_may_append_itself(store: EventStore) -> None:
    def source() -> Iterator[tuple[str, Event]]:
        for _ in range(5):
            store.append("s-1", [NOTED])
            yield "s-1", NOTED

    assert store.import_events(source()) == 5
    assert store.driver.stream_version("s-1") == 10


def test_source_that_fails_leaves_nothing_of_its_chunk(store: EventStore) -> None:
    def source() -> Iterator[tuple[str, Event]]:
        yield "s-1", NOTED
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        store.import_events(source())
    assert list(store.read_all()) == []


def test_import_goes_with_the_callers_transaction(store: EventStore) -> None:
    with transaction.atomic():
        store.import_events([("s-1", NOTED), ("s-1", NOTED)])
        assert store.append("s-1", [NOTED], expected=2) == 3
        transaction.set_rollback(True)
    assert list(store.read_all()) == []


def test_schema_is_that_of_the_upcasters_there_are_now(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(store, "s-1", NOTED)
    monkeypatch.setitem(OrderNoted.__whizbang__.upcasters, 1, lambda data: data)
    append(store, "s-1", NOTED)
    assert [row.schema for row in store.driver.read_stream("s-1")] == [1, 2]
