"""A worker that follows writers: how long after its commit an event is in the read model."""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from threading import Thread
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks import site
from benchmarks.appenders.bare_psycopg import connect
from benchmarks.databases import Database

_LOOK_SECONDS = 0.001
_SETTLE_SECONDS = 60.0
_CATCH_UP_SECONDS = 600.0
_POSITION = "SELECT min(position) FROM whizbang_partition WHERE subscription = %s"
# Inline ones have no checkpoint of their own, and what a rebuild keeps to be undone stands still.
_LOWEST = """
SELECT min(p.position) FROM whizbang_partition AS p
JOIN whizbang_subscription AS s ON s.name = p.subscription WHERE s.kind NOT IN ('inline', 'rebuild')
"""


class Latencies(NamedTuple):
    """Seconds from the commit of an event until its projection had committed too."""

    seconds: list[float]
    rate: float  # events a second that the writer reached


@contextmanager
def running_worker(database: Database) -> Iterator[None]:
    """A worker in a process of its own."""
    context = multiprocessing.get_context("spawn")
    is_stopping = context.Event()
    process = context.Process(target=_work, args=(database, is_stopping), daemon=True)
    process.start()
    try:
        yield
    finally:
        is_stopping.set()
        process.join(_SETTLE_SECONDS)
        if process.is_alive():
            process.kill()


def _work(database: Database, is_stopping: Any) -> None:
    site.set_up(database)
    from whizbang.operations.worker import Worker

    worker = Worker()

    def watch() -> None:
        is_stopping.wait()
        worker.stop()

    Thread(target=watch, daemon=True).start()
    worker.run()


def wait_until_caught_up(database: Database) -> None:
    """Until all that the worker runs stands at the log's end. Raises RuntimeError after a while."""
    deadline = perf_counter() + _CATCH_UP_SECONDS
    with connect(database.settings) as connection:
        head = _head(connection)
        while not _all_stand_at(connection, head):
            if perf_counter() > deadline:
                raise RuntimeError(f"The worker did not reach position {head}.")
            time.sleep(_LOOK_SECONDS)


def follow(database: Database, name: str, *, rate: float, batch: int, seconds: float) -> Latencies:
    """Append `rate` events a second in batches, and see when the checkpoint passes each of them.

    One writer alone draws positions, so they follow each other without a hole.
    """
    committed: deque[tuple[int, float]] = deque()
    found: list[float] = []
    with connect(database.settings) as connection:
        first = _head(connection)
        writer = _Writer(committed, first, rate=rate, batch=batch, seconds=seconds)
        writer.start()
        deadline = perf_counter() + seconds + _SETTLE_SECONDS
        while writer.is_alive() or committed:
            if perf_counter() > deadline:
                raise RuntimeError(
                    f"{name} did not follow: {len(committed)} appends are not in it."
                )
            position, now = _find_position(connection, name) or 0, perf_counter()
            while committed and committed[0][0] <= position:
                found.append(now - committed.popleft()[1])
            time.sleep(_LOOK_SECONDS)
    writer.join()
    if writer.error is not None:
        raise writer.error
    return Latencies(found, writer.reached)


class _Writer(Thread):
    def __init__(
        self,
        committed: deque[tuple[int, float]],
        first: int,
        *,
        rate: float,
        batch: int,
        seconds: float,
    ) -> None:
        super().__init__(daemon=True)
        self._committed, self._position = committed, first
        self._batch, self._interval, self._seconds = batch, batch / rate, seconds
        self.reached = 0.0
        self.error: Exception | None = None

    def run(self) -> None:
        from django.db import connections

        try:
            self._append_paced()
        except Exception as exc:
            self.error = exc  # raised where the thread is joined
        finally:
            connections.close_all()

    def _append_paced(self) -> None:
        import whizbang
        from benchmarks.app.messages import ItemAdded

        store, started, appended = whizbang.event_store(), perf_counter(), 0
        while (now := perf_counter()) - started < self._seconds:
            due = started + appended // self._batch * self._interval
            if now < due:
                time.sleep(due - now)
            cart_id = f"cart-{appended // self._batch % 5000}"
            events = [
                ItemAdded(cart_id=cart_id, sku="sku", quantity=1, amount=Decimal("1.50"))
                for _ in range(self._batch)
            ]
            store.append(f"bench.Cart-{cart_id}", events)
            appended += self._batch
            self._position += self._batch
            self._committed.append((self._position, perf_counter()))
        self.reached = appended / (perf_counter() - started)


def _head(connection: Any) -> int:
    # The sequence, not the table's end: what was rolled back has drawn positions too.
    sql = "SELECT last_value FROM pg_sequences WHERE sequencename = 'whizbang_event_position_seq'"
    row = connection.execute(sql).fetchone()
    return int(row[0] or 0)


def _all_stand_at(connection: Any, head: int) -> bool:
    (position,) = connection.execute(_LOWEST).fetchone()
    return position is not None and position >= head


def _find_position(connection: Any, name: str) -> int | None:
    (position,) = connection.execute(_POSITION, [name]).fetchone()
    return position
