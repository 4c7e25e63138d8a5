"""Scenario 1: positions are drawn before commit, and no reader loses the event of a late committer."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections

from tests.scenarios.sessions import connect, make_tail, positions, write
from tests.scenarios.soak.wrong_tails import HoldersFirstTail, TableLockTail
from whizbang.drivers.stores.base import StoredRow
from whizbang.drivers.stores.postgres import PostgresStore
from whizbang.drivers.stores.postgres_tail import PostgresTail
from whizbang.models import StoredEvent

pytestmark = [pytest.mark.requires_postgres, pytest.mark.django_db(transaction=True)]

DRAW = "SELECT nextval(pg_get_serial_sequence('whizbang_event', 'position'))"
INSERT_AT = """
    INSERT INTO whizbang_event
        (position, stream, version, type, schema, slice, payload, metadata, occurred_at, recorded_at)
    VALUES (%s, %s, 1, 't', 1, 0, '{}', '{}', now(), clock_timestamp())
"""


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


def test_writer_that_has_only_drawn_its_position_counts_as_open(writers: Any) -> None:
    """It holds no lock on the table yet; who asks for those, the mutant, loses its event."""
    late, early = writers(), writers()
    late.execute("SELECT 1")
    first = late.execute(DRAW).fetchone()[0]
    second = write(early, "early")
    early.commit()
    exact, wrong = (kind(make_store(), after=first - 1) for kind in (PostgresTail, TableLockTail))
    assert exact.read(limit=10) == []
    assert positions(wrong.read(limit=10)) == [second]
    late.execute(INSERT_AT, [first, "late"])
    late.commit()
    assert positions(exact.read(limit=10)) == [first, second]
    assert wrong.read(limit=10) == []


def test_holders_are_read_after_the_position_that_they_are_to_settle(
    writers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read before it, the mutant, they lack who came in between."""
    late, early = writers(), writers()
    drawn: list[int] = []
    plain = PostgresStore.read_after

    def read_after(self: Any, position: int, *, limit: int) -> list[StoredRow]:
        if not drawn:
            drawn.extend([write(late, "late"), write(early, "early")])
            early.commit()
        return plain(self, position, limit=limit)

    monkeypatch.setattr(PostgresStore, "read_after", read_after)
    start = connection_head()
    wrong = HoldersFirstTail(make_store(), after=start)
    handed = positions(wrong.read(limit=10))
    assert PostgresTail(make_store(), after=drawn[0] - 1).read(limit=10) == []
    late.commit()
    assert handed == drawn[1:]
    assert wrong.read(limit=10) == []


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


def make_store() -> Any:
    return PostgresStore(using="default")


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
