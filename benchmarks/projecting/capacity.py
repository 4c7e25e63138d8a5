"""How much one worker alone can take in, beside what eight writers reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from time import perf_counter
from typing import NamedTuple

from benchmarks import databases, site
from benchmarks.appenders.library import LibraryAppender
from benchmarks.child import run_in_child
from benchmarks.databases import Database
from benchmarks.projecting import rebuilding
from benchmarks.report import Figure, Goal, at_least
from benchmarks.writers import Writers

WRITERS = 8
MIN_TIMES_THE_WRITERS = 3.0


class Capacity(NamedTuple):
    """Events a second, of one round: both in the same database, one after the other."""

    worker: float
    writers: float


def measure(backlog: int, *, rounds: int, writing_seconds: float) -> list[Capacity]:
    return [_measure_round(backlog, writing_seconds) for _ in range(rounds)]


def _measure_round(backlog: int, seconds: float) -> Capacity:
    with databases.make("postgresql") as database:
        run_in_child(_fill, database, backlog)
        worker = run_in_child(catch_up, database, backlog)
        return Capacity(worker, run_in_child(write, database, seconds))


def _fill(database: Database, backlog: int) -> None:
    site.set_up(database)
    rebuilding.fill_log(backlog)
    rebuilding.settle_table()


def catch_up(database: Database, backlog: int) -> float:
    """Events a second of a worker that has all to do: projection and catalogue of streams, to the end.

    Raises RuntimeError when one of them did not get there.
    """
    site.set_up(database)
    from whizbang.operations.status import subscription_statuses
    from whizbang.operations.worker import Worker

    started = perf_counter()
    Worker().run(until_idle=True)
    seconds = perf_counter() - started
    behind = [s.name for s in subscription_statuses() if s.lag_events]
    if behind:
        raise RuntimeError(f"The worker ended before the end of the log: {', '.join(behind)}.")
    return backlog / seconds


def write(database: Database, seconds: float) -> float:
    """Events a second of all writers together, each event an append to a new stream.

    No inline projection wants the event: writers are as quick as they can be.
    """
    site.set_up(database)
    from django.db import connections

    connections.close_all()  # before they are forked
    appender = LibraryAppender("store.append")
    with Writers([appender], count=WRITERS) as pool:
        work = pool.run(appender, writers=WRITERS, seconds=seconds)
    return sum(w.operations / w.elapsed_seconds for w in work)


def describe(found: Sequence[Capacity], *, backlog: int) -> Iterator[Figure]:
    table = f"capacity, {backlog:,} events to catch up with, postgresql"
    worker, writers = (median(rates) for rates in zip(*found, strict=True))
    times = times_the_writers(found)
    yield Figure(
        table=table,
        name="one worker alone",
        values={"events_per_second": round(worker), "times_the_writers": times},
    )
    yield Figure(
        table=table,
        name=f"{WRITERS} writers, single events",
        values={"events_per_second": round(writers), "times_the_writers": 1.0},
    )


def judge(found: Sequence[Capacity]) -> Iterator[Goal]:
    yield at_least(
        f"one worker alone over {WRITERS} writers",
        times_the_writers(found) if found else None,
        MIN_TIMES_THE_WRITERS,
    )


def times_the_writers(found: Sequence[Capacity]) -> float:
    """The median of the rounds' own ratios."""
    return median(each.worker / each.writers for each in found)
