"""Very many open instances with a timeout each: what one that is due costs beside them."""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

from benchmarks import databases
from benchmarks.memory import read_peak_mib
from benchmarks.orchestrating import workers

_CHUNK = 1000


class Waited(NamedTuple):
    """Beside so many open instances: seconds for each of those that were due, and peak memory after it."""

    open: int
    seconds_per_timeout: float
    peak_mib: float | None


def measure_waiting(count: int, due: int) -> Waited:
    """Opens the instances, then lets some of them be due, spread over all of them."""
    with databases.make("postgresql") as database:
        workers.set_up_alone(database)
        open_instances(count)
        make_due(count, due)
        started = perf_counter()
        fire_all(due)
        seconds = perf_counter() - started
        return Waited(count, seconds / due, read_peak_mib())


def open_instances(count: int) -> None:
    from django.db import transaction

    from benchmarks.booking.messages import ReminderRequested
    from whizbang import event_store
    from whizbang.operations.worker import Worker

    for start in range(0, count, _CHUNK):
        event_store().import_events(
            (f"booking.Ask-{n}", ReminderRequested(reminder_id=str(n)))
            for n in range(start, min(start + _CHUNK, count))
        )
    Worker().run(until_idle=True)
    with transaction.get_connection().cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def make_due(count: int, due: int) -> None:
    from datetime import timedelta

    from django.db.models import F

    from whizbang.models import SagaTimeout

    keys = [str(number) for number in range(0, count, count // due)][:due]
    rows = SagaTimeout.objects.filter(key__in=keys)
    rows.update(due_at=F("due_at") - timedelta(days=2))


def fire_all(due: int) -> None:
    from whizbang.models import SagaInstance
    from whizbang.sagas.timeouts import TimeoutPart
    from whizbang.store.event_store import event_store

    part, fired = TimeoutPart(event_store()), 0
    while found := part.run_once():
        fired += found
    completed = SagaInstance.objects.filter(status="completed").count()
    if (fired, completed) != (due, due):
        raise RuntimeError(f"{fired} fired, {completed} completed, {due} were due.")
