"""Scenario 1: positions are drawn before commit, and no reader loses the event of a late committer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections

from whizbang.drivers.stores.base import StoredRow
from whizbang.models import StoredEvent

pytestmark = [pytest.mark.requires_postgres, pytest.mark.django_db(transaction=True)]

INSERT = """
    INSERT INTO whizbang_event
        (stream, version, type, schema, slice, payload, metadata, occurred_at, recorded_at)
    VALUES (%s, 1, 't', 1, 0, '{}', '{}', now(), clock_timestamp()) RETURNING position
"""


def make_tail(after: int) -> Any:
    from whizbang.drivers.stores.postgres import PostgresStore

    return PostgresStore(using="default").tail(after=after)


def connect() -> Any:
    import psycopg

    database = connection.settings_dict
    return psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        password=database["PASSWORD"],
        dbname=database["NAME"],
    )


@pytest.fixture
def writers() -> Iterator[Callable[[], Any]]:
    opened: list[Any] = []

    def open_writer() -> Any:
        opened.append(connect())
        return opened[-1]

    yield open_writer
    for writer in opened:
        writer.close()


def write(writer: Any, stream: str) -> int:
    return int(writer.execute(INSERT, [stream]).fetchone()[0])


def positions(rows: list[StoredRow]) -> list[int]:
    return [row.position for row in rows]


def test_reader_waits_for_an_open_writer_and_then_gets_both_in_order(writers: Any) -> None:
    late, early = writers(), writers()
    first = write(late, "late")
    second = write(early, "early")
    early.commit()
    tail = make_tail(first - 1)
    assert positions(tail.read(limit=10)) == []
    assert tail.explain() != []
    late.commit()
    assert positions(tail.read(limit=10)) == [first, second]
    assert tail.explain() == []


def test_gap_of_a_rollback_is_passed_as_soon_as_it_has_ended(writers: Any) -> None:
    """Scenario 2."""
    loser, winner = writers(), writers()
    first = write(loser, "loser")
    second = write(winner, "winner")
    winner.commit()
    tail = make_tail(first - 1)
    assert tail.read(limit=10) == []
    loser.rollback()
    assert positions(tail.read(limit=10)) == [second]


def test_unrelated_open_transaction_holds_nobody(writers: Any) -> None:
    """Scenario 5."""
    foreign, burner, writer = writers(), writers(), writers()
    foreign.execute("SELECT txid_current()")
    first = write(burner, "burner")
    burner.rollback()
    second = write(writer, "writer")
    writer.commit()
    assert positions(make_tail(first - 1).read(limit=10)) == [second]


def test_savepoint_rollback_still_counts_as_open(writers: Any) -> None:
    writer, other = writers(), writers()
    writer.execute("SAVEPOINT a")
    first = write(writer, "burnt")
    writer.execute("ROLLBACK TO SAVEPOINT a")
    second = write(other, "other")
    other.commit()
    tail = make_tail(first - 1)
    assert tail.read(limit=10) == []
    third = write(writer, "kept")
    writer.commit()
    assert positions(tail.read(limit=10)) == [second, third]


@pytest.mark.parametrize("reads_again", [True, False])
def test_writer_that_ends_between_the_two_looks_is_read_again(
    writers: Any, monkeypatch: pytest.MonkeyPatch, reads_again: bool
) -> None:
    """Without the second read, the mutant, the first event is lost."""
    late, early = writers(), writers()
    first = write(late, "late")
    second = write(early, "early")
    early.commit()
    tail = make_tail(first - 1)
    plain = tail._store.read_after
    answers: list[Any] = []

    def read_after(position: int, *, limit: int) -> list[StoredRow]:
        if answers and not reads_again:
            return list(answers[0])  # what it saw the first time
        rows = plain(position, limit=limit)
        answers.append(rows)
        late.commit()
        return list(rows)

    monkeypatch.setattr(tail._store, "read_after", read_after)
    got = positions(tail.read(limit=10))
    assert got == ([first, second] if reads_again else [second])


def test_hostile_writers_and_restarting_readers(writers: Any) -> None:
    """Writers with delays, rollbacks and savepoints; readers that restart; a naive one beside them."""
    stop = threading.Event()
    start = connection_head()
    errors: list[BaseException] = []
    exact: list[list[int]] = [[], [], []]
    naive: list[int] = []
    threads = [
        *(
            threading.Thread(target=_guard, args=(errors, _write_randomly, n, stop))
            for n in range(8)
        ),
        *(
            threading.Thread(target=_guard, args=(errors, _read_restarting, start, got, stop))
            for got in exact
        ),
        threading.Thread(target=_guard, args=(errors, _read_naively, start, naive, stop)),
    ]
    for thread in threads:
        thread.start()
    time.sleep(6)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert errors == []
    committed = list(StoredEvent.objects.order_by("position").values_list("position", flat=True))
    assert len(committed) > 300
    for got in exact:
        assert got == committed
    assert set(naive) < set(committed), "the naive reader should have lost something"


def connection_head() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(position), 0) FROM whizbang_event")
        return int(cursor.fetchone()[0])


def _guard(errors: list[BaseException], function: Any, *args: Any) -> None:
    try:
        function(*args)
    except BaseException as exc:
        errors.append(exc)
    finally:
        connections.close_all()


def _write_randomly(number: int, stop: threading.Event) -> None:
    chance = random.Random(number)
    with connect() as writer:
        count = 0
        while not stop.is_set():
            for _ in range(chance.randint(1, 3)):
                count += 1
                write(writer, f"w{number}-{count}-{settings.RUN_ID}")
                if chance.random() < 0.1:
                    writer.execute("SAVEPOINT a")
                    write(writer, f"burnt{number}-{count}")
                    writer.execute("ROLLBACK TO SAVEPOINT a")
                time.sleep(chance.choice([0, 0, 0.001, 0.02]))
            if chance.random() < 0.2:
                writer.rollback()
            else:
                writer.commit()


def _read_restarting(after: int, got: list[int], stop: threading.Event) -> None:
    """Keeps its mark like a checkpoint, and begins anew with another connection now and then."""
    tail = make_tail(after)
    quiet_since = None
    while True:
        rows = tail.read(limit=random.choice([1, 7, 500]))
        got.extend(positions(rows))
        if random.random() < 0.05:
            connections["default"].close()
            tail = make_tail(tail.mark)
        if rows:
            quiet_since = None
            continue
        if stop.is_set():
            quiet_since = quiet_since or time.monotonic()
            if time.monotonic() - quiet_since > 1:
                return
        time.sleep(0.005)


def _read_naively(after: int, got: list[int], stop: threading.Event) -> None:
    while not stop.is_set():
        rows = StoredEvent.objects.filter(position__gt=after).order_by("position")
        for position in rows.values_list("position", flat=True):
            got.append(position)
            after = position
