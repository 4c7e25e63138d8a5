"""The index of events: one entry each, once, also where metadata cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

import whizbang
from tests.shop.messages import OpenOrder, OrderNoted
from whizbang.models import EventEntry, ParkedStream, Partition, StoredEvent
from whizbang.operations.history import rewriting
from whizbang.operations.status import subscription_statuses
from whizbang.subscriptions.event_index import EventIndexSubscription
from whizbang.subscriptions.runner import StaleLease, SubscriptionRunner

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
NAME = "whizbang.events"
MANY = 50  # more than are written row by row where the server can do better


def note(order_id: str, *texts: str, user: Any = None) -> None:
    events = [OrderNoted(order_id=order_id, text=text) for text in texts]
    whizbang.event_store().append(f"shop.Order-{order_id}", events, user=user)


def expected() -> list[tuple[Any, ...]]:
    """What the entries of the log as it stands have to be."""
    found = []
    for event in StoredEvent.objects.order_by("position"):
        data = event.metadata
        ids = (data.get(name) for name in ("message_id", "correlation_id", "causation_id"))
        ids = (None if id is None else UUID(id) for id in ids)
        found.append((event.position, *ids, event.type, (data.get("user") or "")[:150]))
    return found


def entries() -> list[tuple[Any, ...]]:
    columns = ("position", "message_id", "correlation_id", "causation_id", "type", "user")
    return list(EventEntry.objects.order_by("position").values_list(*columns))


@pytest.mark.parametrize("count", [1, MANY])
def test_each_event_has_one_entry_that_says_what_its_metadata_say(count: int, drain: Drain) -> None:
    whizbang.send(OpenOrder(order_id="1"), user="anna")
    for number in range(count):
        note("2", f"note {number}", user="b" * 200 if number % 2 else None)
    drain()
    assert entries() == expected()
    assert len(entries()) == count + 1


@pytest.mark.parametrize("count", [3, MANY])
def test_batch_that_is_applied_again_changes_nothing(count: int, drain: Drain) -> None:
    """As by a worker that died before its commit was confirmed."""
    note("1", *map(str, range(count)))
    drain()
    before = entries()
    Partition.objects.filter(subscription=NAME).update(position=0)
    note("1", "one more")
    drain()
    assert entries()[:count] == before
    assert entries() == expected()


def test_entries_and_checkpoint_are_kept_together(drain: Drain) -> None:
    note("1", "a")
    drain()
    at = Partition.objects.get(subscription=NAME).position
    assert at == StoredEvent.objects.get().position
    note("1", "b")
    store = whizbang.event_store()
    rows = list(store.driver.read_log(after=at, until=2**62, limit=None))
    definition = EventIndexSubscription(store)
    stale = SubscriptionRunner(definition)
    stale.take_over(1)
    Partition.objects.filter(subscription=NAME).update(epoch=99)
    with pytest.raises(StaleLease):
        stale.run(rows, rows[-1].position)
    assert EventEntry.objects.count() == 1


@pytest.mark.parametrize("metadata", [{}, {"message_id": "no id"}, {"message_id": 7}])
@pytest.mark.parametrize("count", [2, MANY])
def test_bad_metadata_have_no_entry_and_stop_nothing(
    count: int, metadata: dict[str, Any], drain: Drain
) -> None:
    note("1", *map(str, range(count)))
    bad = StoredEvent.objects.order_by("position")[count // 2].position
    with rewriting(reason="break it"):
        StoredEvent.objects.filter(position=bad).update(metadata=metadata)
    drain()
    indexed = [entry[0] for entry in entries()]
    assert len(indexed) == count - 1
    assert bad not in indexed
    assert not ParkedStream.objects.filter(subscription=NAME).exists()
    status = next(s for s in subscription_statuses() if s.name == NAME)
    assert status.lag_events == 0


def test_events_of_unknown_types_are_indexed_too(drain: Drain) -> None:
    note("1", "a")
    with rewriting(reason="a class that is gone"):
        StoredEvent.objects.update(type="shop.Gone")
    drain()
    assert [entry[4] for entry in entries()] == ["shop.Gone"]


@pytest.mark.requires_postgres
def test_many_events_cost_one_statement(drain: Drain, django_assert_num_queries: Any) -> None:
    note("1", *map(str, range(MANY)))
    store = whizbang.event_store()
    rows = list(store.driver.read_log(after=0, until=2**62, limit=None))
    with django_assert_num_queries(1, connection=connection):
        EventIndexSubscription(store).deliver(rows)
    assert entries() == expected()


def test_entry_whose_event_has_another_id_by_now_is_left_alone(drain: Drain) -> None:
    note("1", "a")
    drain()
    EventEntry.objects.update(message_id=(known := uuid4()))
    Partition.objects.filter(subscription=NAME).update(position=0)
    note("1", "b")
    drain()
    assert entries()[0][1] == known
