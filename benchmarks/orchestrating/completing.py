"""Completed processes a second, from a tenth of them to the last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any
from uuid import uuid4

from benchmarks import databases
from benchmarks.appenders.bare_psycopg import connect
from benchmarks.child import run_in_child
from benchmarks.databases import Database
from benchmarks.orchestrating import workers
from benchmarks.orchestrating.workers import BOOKING, STEPS

_LOOK_SECONDS = 0.005
_PATIENCE_SECONDS = 600.0
_COMPLETED = "SELECT count(*) FROM whizbang_saga WHERE status = 'completed'"
_COMPLETED_BY_HAND = "SELECT count(*) FROM booking_handmadebooking WHERE step = 4"


@contextmanager
def prefix_of_queues() -> Iterator[str]:
    prefix = f"benchmark-{uuid4().hex[:8]}"
    try:
        yield prefix
    finally:
        workers.remove_queues(prefix)


def complete_alone(count: int, processes: int) -> float:
    """One service whose database is its queue."""
    with databases.make("postgresql") as database:
        run_in_child(request_alone, database, count)
        with workers.running(processes, workers.work_alone, database):
            return _measure(database, _COMPLETED, count)


def request_alone(database: Database, count: int) -> None:
    workers.set_up_alone(database)
    request(count)


def complete_as_services(count: int, processes: int) -> float:
    """Two services with databases of their own, so many workers each, over RabbitMQ."""
    with (
        databases.make("postgresql") as booking,
        databases.make("postgresql") as steps,
        prefix_of_queues() as prefix,
    ):
        run_in_child(workers.set_up_service, steps, STEPS, prefix)
        run_in_child(request_as_service, booking, prefix, count)
        with (
            workers.running(processes, workers.work_as_service, steps, STEPS, prefix),
            workers.running(processes, workers.work_as_service, booking, BOOKING, prefix),
        ):
            return _measure(booking, _COMPLETED, count)


def request_as_service(database: Database, prefix: str, count: int) -> None:
    workers.set_up_service(database, BOOKING, prefix)
    request(count)


def request(count: int) -> None:
    """As events of an import: what is measured begins with the saga."""
    from benchmarks.booking.messages import BookingRequested
    from whizbang import event_store

    event_store().import_events(
        (f"booking.Request-{n}", BookingRequested(booking_id=str(n))) for n in range(count)
    )


def complete_by_hand(count: int, processes: int) -> float:
    """Celery tasks over rows of the ORM, with RabbitMQ between them."""
    with databases.make("postgresql") as database, prefix_of_queues() as prefix:
        queue = f"{prefix}-celery"
        run_in_child(request_by_hand, database, queue, count)
        with workers.running(processes, workers.work_by_hand, database, queue):
            return _measure(database, _COMPLETED_BY_HAND, count)


def request_by_hand(database: Database, queue: str, count: int) -> None:
    app = workers.celery_app(database, queue)
    from benchmarks.booking.models import HandMadeBooking
    from benchmarks.booking.tasks import reserve_seat

    HandMadeBooking.objects.bulk_create(
        [HandMadeBooking(booking_id=str(n)) for n in range(count)], batch_size=1000
    )
    with app.pool.acquire() as connection:
        for number in range(count):
            reserve_seat.apply_async((str(number),), connection=connection)


def _measure(database: Database, sql: str, count: int) -> float:
    with connect(database.settings) as connection:
        first = _wait_for(connection, sql, count // 10)
        started = perf_counter()
        last = _wait_for(connection, sql, count)
        return (last - first) / (perf_counter() - started)


def _wait_for(connection: Any, sql: str, count: int) -> int:
    """Until there are so many; gives how many there are. Raises RuntimeError after a while."""
    deadline = perf_counter() + _PATIENCE_SECONDS
    while True:
        (found,) = connection.execute(sql).fetchone()
        if found >= count:
            return int(found)
        if perf_counter() > deadline:
            raise RuntimeError(f"{found} of {count} were completed.")
        time.sleep(_LOOK_SECONDS)


WAYS: dict[str, Callable[[int, int], float]] = {
    "whizbang, one service": complete_alone,
    "whizbang, two services over RabbitMQ": complete_as_services,
    "Celery tasks and ORM rows over RabbitMQ": complete_by_hand,
}
