"""Writers that meet on one stream, on either database."""

from __future__ import annotations

import pytest
from django.db import transaction

from tests.drivers.stores.rows import append, make_rows, run_together
from whizbang.drivers.stores.base import ANY, NO_STREAM, EventStoreDriver, RowsOfStream
from whizbang.exceptions import ConcurrencyError
from whizbang.store.event_store import event_store

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store() -> EventStoreDriver:
    return event_store().driver


def test_appends_to_any_version_never_fail_by_a_race(store: EventStoreDriver) -> None:
    results = run_together(8, lambda number: [append(store, "s-1") for _ in range(10)])
    versions = sorted(version for got in results for (version,) in got)
    assert versions == list(range(1, 81))


def test_one_of_many_writers_of_a_new_stream_wins(store: EventStoreDriver) -> None:
    results = run_together(6, lambda number: append(store, "s-1", 2, NO_STREAM))
    assert [got for got in results if isinstance(got, list)] == [[1, 2]]
    lost = [got for got in results if not isinstance(got, list)]
    assert all(isinstance(exc, ConcurrencyError) and exc.actual == 2 for exc in lost)


def test_writers_of_the_same_streams_in_other_orders_do_not_deadlock(
    store: EventStoreDriver,
) -> None:
    def write(number: int) -> int:
        names = ["s-1", "s-2", "s-3"][:: 1 if number % 2 else -1]
        for _ in range(15):
            store.append([RowsOfStream(name, ANY, make_rows(store)) for name in names])
        return 15

    assert run_together(4, write) == [15] * 4
    assert [store.stream_version(name) for name in ("s-1", "s-2", "s-3")] == [60] * 3


def test_conflict_outside_a_transaction_stores_nothing(store: EventStoreDriver) -> None:
    append(store, "s-9", 1)
    streams = [
        RowsOfStream("s-1", NO_STREAM, make_rows(store, 1500)),  # several statements on SQLite
        RowsOfStream("s-9", NO_STREAM, make_rows(store)),
    ]
    with pytest.raises(ConcurrencyError) as caught:
        store.append(streams)
    assert (caught.value.stream, caught.value.actual) == ("s-9", 1)
    assert store.stream_version("s-1") == 0


def test_refused_append_inside_a_savepoint_leaves_the_outer_transaction(
    store: EventStoreDriver,
) -> None:
    append(store, "s-1")
    with transaction.atomic():
        with pytest.raises(ConcurrencyError), transaction.atomic():
            append(store, "s-1", 1, NO_STREAM)
        append(store, "s-2")
    assert store.stream_version("s-2") == 1
