"""Scenario 1 for as long as WHIZBANG_SOAK_SECONDS says, at full speed, on PostgreSQL.

24 writers append in every way, roll back, and have their sessions ended; readers begin anew at random. The
right reader sees every event once and in order; each of the wrong ones must be seen losing some.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.scenarios.soak.comparison import (
    Comparison,
    positions_in_file,
    settled_positions,
    stored_positions,
)
from tests.scenarios.soak.processes import SECONDS, Processes, watch
from tests.scenarios.soak.wrong_tails import WRONG_TAILS
from whizbang.models import StoredEvent
from whizbang.store.event_store import event_store

pytestmark = [
    pytest.mark.soak,
    pytest.mark.requires_postgres,
    pytest.mark.django_db(transaction=True),
]

WRITER_PROCESSES, THREADS_OF_EACH = 4, 6
WRITERS, READERS = "whizbang soak writer", "whizbang soak reader"

END_SESSION = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = %s ORDER BY random() LIMIT 1
"""
CANCEL_STATEMENT = END_SESSION.replace("terminate", "cancel")


@pytest.fixture
def writers(child_environment: dict[str, str]) -> Iterator[Processes]:
    with Processes(child_environment, WRITERS) as group:
        for number in range(WRITER_PROCESSES):
            group.start("hostile_writer", number * THREADS_OF_EACH, THREADS_OF_EACH)
        yield group


@pytest.fixture
def readers(child_environment: dict[str, str]) -> Iterator[Processes]:
    with Processes(child_environment, READERS) as group:
        yield group


def await_sessions(application: str, count: int) -> None:
    """Starting the processes takes a while, which is not to count."""
    deadline = time.monotonic() + 120
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = %s",
                [application],
            )
            if cursor.fetchone()[0] >= count:
                return
            assert time.monotonic() < deadline, f"{application}: not all processes came up"
            time.sleep(0.1)


def end_a_session(cursor: Any) -> None:
    statement = random.choice([END_SESSION, CANCEL_STATEMENT])
    cursor.execute(statement, [random.choice([WRITERS, WRITERS, WRITERS, READERS])])


def switch_log_file(cursor: Any) -> None:
    """Holds up whoever is logging something, for milliseconds."""
    cursor.execute("SELECT pg_switch_wal()")


@contextmanager
def disturbing(disturb: Callable[[Any], None]) -> Iterator[None]:
    """Somebody does this at random moments, all the time."""
    stop = threading.Event()
    session = connection.copy()

    def run() -> None:
        with session.cursor() as cursor:
            while not stop.wait(random.uniform(0.01, 0.2)):
                disturb(cursor)
        session.close()

    thread = threading.Thread(target=run)
    session.inc_thread_sharing()
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_readers_see_every_event_once_and_in_order(
    writers: Processes, readers: Processes, tmp_path: Path
) -> None:
    files = [tmp_path / str(number) for number in range(4)]
    for file in files:
        file.touch()
        readers.start("restarting_reader", "exact", file, 0)
    await_sessions(READERS, len(files))
    await_sessions(WRITERS, WRITER_PROCESSES * THREADS_OF_EACH)
    with disturbing(end_a_session):
        watch([writers, readers], seconds=SECONDS)
    written = writers.stop()
    readers.stop()
    stored = StoredEvent.objects.count()
    print(f"\n{stored} events in {SECONDS:.0f} s: {dict(written)}")
    assert written["interrupted"] > 0 and written["refused"] > 0
    assert written["stored"] <= stored <= written["stored"] + written["unknown"]
    for file in files:
        comparison = Comparison(stored_positions(), positions_in_file(file))
        comparison.finish()
        assert comparison.is_clean and comparison.matched == stored, comparison


def test_wrong_readers_are_caught(
    writers: Processes, child_environment: dict[str, str], tmp_path: Path
) -> None:
    """One kind after the other, each until it was caught, all against the same writers."""
    await_sessions(WRITERS, WRITER_PROCESSES * THREADS_OF_EACH)
    for kind in WRONG_TAILS:
        with Processes(child_environment, READERS) as readers:
            compared = catch(kind, writers, readers, tmp_path, seconds=SECONDS)
        assert any(comparison.missed for comparison in compared), f"{kind} got away: {compared}"


def catch(
    kind: str, writers: Processes, readers: Processes, folder: Path, *, seconds: float
) -> list[Comparison]:
    """Run readers of one kind until one was seen to miss an event."""
    store = event_store().driver
    start = store.settled_head()
    compared = []
    for number in range(3 if kind == "last_value" else 1):
        file = folder / f"{kind}-{number}"
        file.touch()
        readers.start("restarting_reader", kind, file, start)
        compared.append(Comparison(settled_positions(store, start), positions_in_file(file)))

    def is_caught() -> bool:
        for comparison in compared:
            comparison.advance()
        return any(comparison.missed for comparison in compared)

    # Only the sequence's own row is wrong for as long as the server takes to log it.
    disturbed = disturbing(switch_log_file) if kind == "last_value" else nullcontext()
    with disturbed:
        taken = watch([writers, readers], seconds=seconds, until=is_caught)
    print(f"\n{kind} after {taken:.0f} s: {compared}")
    return compared
