"""What only the driver of MariaDB and MySQL promises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Barrier
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from tests.drivers.stores.rows import append, run_together
from whizbang.drivers.stores.base import EventStoreDriver
from whizbang.exceptions import ConcurrencyError, NotReady, WrongMode
from whizbang.models import StoredEvent
from whizbang.store.event_store import event_store

pytestmark = [pytest.mark.requires_mariadb, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def store() -> EventStoreDriver:
    return event_store().driver


@pytest.fixture
def other() -> Iterator[Any]:
    """Another connection, for a transaction that stays open."""
    opened = connection.copy()
    opened.set_autocommit(False)
    yield opened
    opened.close()


def run(sql: str, *params: Any, on: Any = connection) -> Any:
    with on.cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchall() if cursor.description else None


@contextmanager
def session(setting: str, value: str) -> Iterator[None]:
    """The test's connection with another session setting; a new one afterwards."""
    run(f"SET SESSION {setting} {value}")
    connection.__dict__.pop("_whizbang_checked", None)
    try:
        yield
    finally:
        connection.close()


def test_append_is_one_statement(store: EventStoreDriver, django_assert_num_queries: Any) -> None:
    append(store, "s-1", 1, 0)  # measures the server's clock
    with django_assert_num_queries(1):
        append(store, "s-2", 1, 0)
    with django_assert_num_queries(1):
        append(store, "s-3", 50, 0)


def test_insert_that_draws_no_position_is_refused() -> None:
    with pytest.raises(DatabaseError, match="position"):
        run(
            "INSERT INTO whizbang_event (stream, version, type, `schema`, slice, payload, metadata,"
            " occurred_at, recorded_at) VALUES ('s-1', 1, 't', 1, 0, '{}', '{}', now(), now())"
        )


def test_names_that_only_look_alike_are_different_streams(store: EventStoreDriver) -> None:
    names = ["s-a", "s-A", "s-ä", "s-a ", "S-a"]
    for name in names:
        assert append(store, name, 1, 0) == [1]
    assert [store.stream_version(name) for name in names] == [1] * len(names)
    assert [row.stream for row in store.read_stream("s-A")] == ["s-A"]


def test_positions_wait_for_the_open_appender(store: EventStoreDriver, other: Any) -> None:
    run("SELECT whizbang_draw_positions(1)", on=other)
    run("SET SESSION innodb_lock_wait_timeout = 1")
    with pytest.raises(OperationalError, match="1205"):
        append(store, "s-1", 1, 0)
    other.rollback()
    assert append(store, "s-1", 1, 0) == [1]
    connection.close()


def test_lost_race_in_a_transaction_is_won_at_the_second_try(
    store: EventStoreDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try has locked the counter: nobody can append in between."""
    append(store, "s-1", 3)
    plain = store._versions  # type: ignore[attr-defined]
    answers = [{"s-1": 2}]  # as before another writer's append
    monkeypatch.setattr(
        store, "_versions", lambda streams: answers.pop() if answers else plain(streams)
    )
    with transaction.atomic():
        assert append(store, "s-1") == [4]


def test_deadlock_is_a_concurrency_error_and_marks_the_transaction(
    store: EventStoreDriver,
) -> None:
    """The server has undone all of it: what came after would be another transaction."""
    append(store, "s-1", 1, 0)
    both_locked = Barrier(2)

    def write(number: int) -> str:
        with transaction.atomic():
            if number:
                run("INSERT INTO whizbang_lease (name, owner, epoch) VALUES ('a', '', 0)")
                both_locked.wait(10)
            else:
                append(store, "s-2", 1, 0)
                both_locked.wait(10)
                run("SELECT * FROM whizbang_lease WHERE name = 'a' FOR UPDATE")
                return "stored"
            try:
                append(store, "s-3", 1, 0)
            except ConcurrencyError:
                assert transaction.get_rollback()
                raise
        return "stored"

    results = run_together(2, write)
    assert "stored" in results
    (lost,) = (got for got in results if got != "stored")
    assert isinstance(lost, ConcurrencyError | OperationalError)


def test_appends_are_not_held_by_who_cannot_see_them(store: EventStoreDriver) -> None:
    append(store, "s-1")
    with session("TRANSACTION ISOLATION LEVEL", "REPEATABLE READ"):
        with transaction.atomic():
            store.settled_head()
            run_together(1, lambda number: append(store, "s-2"))
            with pytest.raises(WrongMode, match="READ COMMITTED"):
                store.hold_appends()


def test_dirty_reader_is_refused(store: EventStoreDriver) -> None:
    with session("TRANSACTION ISOLATION LEVEL", "READ UNCOMMITTED"):
        with pytest.raises(WrongMode, match="READ UNCOMMITTED"):
            store.settled_head()
        with pytest.raises(WrongMode, match="READ UNCOMMITTED"):
            store.tail(after=0).read(limit=1)


def test_session_with_another_clock_is_refused(store: EventStoreDriver) -> None:
    with session("time_zone =", "'+02:00'"):
        with pytest.raises(NotReady, match="SET time_zone"):
            store.tail(after=0).read(limit=1)


def test_times_are_stored_as_the_orm_reads_them(store: EventStoreDriver) -> None:
    append(store, "s-1")
    (row,) = store.read_stream("s-1")
    event = StoredEvent.objects.get()
    assert (event.occurred_at, event.recorded_at) == (row.occurred_at, row.recorded_at)


@pytest.mark.parametrize(
    ("breaks", "mends"),
    [
        (
            "RENAME TABLE whizbang_event TO elsewhere",
            "RENAME TABLE elsewhere TO whizbang_event",
        ),
        (
            "RENAME TABLE whizbang_position TO elsewhere",
            "RENAME TABLE elsewhere TO whizbang_position",
        ),
    ],
)
def test_missing_table_says_to_migrate(store: EventStoreDriver, breaks: str, mends: str) -> None:
    run(breaks)
    try:
        with pytest.raises(NotReady, match="migrate"):
            append(store, "s-1", 1, 0)
    finally:
        run(mends)


def test_counter_without_its_row_stops_writers(store: EventStoreDriver) -> None:
    """LAST_INSERT_ID() would give an older position then."""
    with transaction.atomic():
        run("DELETE FROM whizbang_position")
        with pytest.raises(OperationalError, match="lost its row"):
            append(store, "s-1", 1, 0)
        transaction.set_rollback(True)


def test_large_append_is_cut_below_the_packet_limit_and_stays_whole(
    store: EventStoreDriver, django_assert_num_queries: Any
) -> None:
    append(store, "s-1")  # measures the server's clock
    with django_assert_num_queries(4):  # BEGIN, two inserts, COMMIT
        append(store, "s-2", 1001, 0)
    assert store.stream_version("s-2") == 1001
