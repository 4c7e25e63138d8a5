"""What only PostgreSQL's driver promises."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction

from tests.drivers.stores.rows import append, run_together
from whizbang.drivers.stores.base import EventStoreDriver
from whizbang.exceptions import ConcurrencyError, NotReady, WrongMode
from whizbang.store.event_store import event_store

pytestmark = [pytest.mark.requires_postgres, pytest.mark.django_db(transaction=True)]

DRAW = "SELECT nextval(pg_get_serial_sequence('whizbang_event', 'position'))"


@pytest.fixture
def store() -> EventStoreDriver:
    return event_store().driver


@pytest.fixture
def drawer() -> Iterator[Any]:
    """Another connection, to draw positions in a transaction that stays open."""
    other = connection.copy()
    other.set_autocommit(False)
    yield other
    other.close()


def draw(drawer: Any) -> int:
    with drawer.cursor() as cursor:
        cursor.execute(DRAW)
        return int(cursor.fetchone()[0])


@contextmanager
def sequence_option(change: str, undo: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE whizbang_event ALTER COLUMN position SET {change}")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE whizbang_event ALTER COLUMN position SET {undo}")


def test_head_without_open_writers_is_the_last_position(
    store: EventStoreDriver, drawer: Any
) -> None:
    append(store, "s-1")
    draw(drawer)
    drawer.rollback()  # a hole that stays
    append(store, "s-1")
    assert store.settled_head() == draw(drawer) - 1


def test_head_stays_below_an_open_writer_and_is_told_in_time(
    store: EventStoreDriver, drawer: Any
) -> None:
    append(store, "s-1")
    settled = store.settled_head()
    assert draw(drawer) == settled + 1
    append(store, "s-1")
    began = time.monotonic()
    assert store.settled_head() == settled
    assert time.monotonic() - began < 1
    drawer.rollback()
    assert store.settled_head() == settled + 2


def test_head_waits_only_for_writers_that_could_fill_a_hole(
    store: EventStoreDriver, drawer: Any
) -> None:
    """Events right behind a known end are settled though a writer that began later is open."""
    append(store, "s-1")
    known = store.settled_head()
    append(store, "s-1", 3)
    draw(drawer)
    assert store.settled_head() == known + 3


def test_own_uncommitted_events_count_as_settled(store: EventStoreDriver) -> None:
    start = store.settled_head()
    with transaction.atomic():
        append(store, "s-1", 2)
        assert store.settled_head() > start
        assert len(store.tail(after=start).read(limit=10)) == 2
        transaction.set_rollback(True)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_reader_that_cannot_see_later_commits_is_refused(
    store: EventStoreDriver, level: str
) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        with pytest.raises(WrongMode, match="READ COMMITTED"):
            store.settled_head()
        with pytest.raises(WrongMode, match="READ COMMITTED"):
            store.tail(after=0).read(limit=1)


def test_sequence_that_draws_ahead_of_time_is_refused(store: EventStoreDriver) -> None:
    with sequence_option("CACHE 10", "CACHE 1"):
        with pytest.raises(NotReady, match="CACHE 10"):
            store.tail(after=0).read(limit=1)


def test_position_without_a_sequence_is_refused(store: EventStoreDriver) -> None:
    """No sequence would mean no holders, and so events that are skipped in silence."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE whizbang_event ALTER COLUMN position DROP IDENTITY")
        with pytest.raises(NotReady, match="owns no sequence"):
            store.settled_head()
        transaction.set_rollback(True)


def test_deadlock_is_a_concurrency_error(store: EventStoreDriver) -> None:
    both_wrote_once = Barrier(2)

    def write(number: int) -> str:
        first, second = ("s-1", "s-2") if number else ("s-2", "s-1")
        with transaction.atomic():
            append(store, first, 1, 0)
            both_wrote_once.wait(10)
            append(store, second, 1, 0)
        return "stored"

    results = run_together(2, write)
    assert "stored" in results
    (lost,) = (got for got in results if got != "stored")
    assert isinstance(lost, ConcurrencyError)


def test_missing_table_says_to_migrate(store: EventStoreDriver) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE whizbang_event RENAME TO elsewhere")
        with pytest.raises(NotReady, match="migrate"):
            append(store, "s-1", 1, 0)
        transaction.set_rollback(True)


def test_single_append_is_one_statement(
    store: EventStoreDriver, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        append(store, "s-1", 1, 0)
    with django_assert_num_queries(1):
        append(store, "s-1", 50, 1)
