"""The same rebuild of ever longer logs into the same rows: what an event takes, and how much memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from statistics import median
from typing import NamedTuple

from benchmarks import databases, site
from benchmarks.child import run_in_child
from benchmarks.databases import Database
from benchmarks.measuring import interleave
from benchmarks.memory import read_peak_mib
from benchmarks.projecting import rebuilding
from benchmarks.report import Figure, Goal, at_most

KEYS = 50_000
MAX_TIMES_AN_EVENT = 1.2
MAX_TIMES_PEAK = 1.1  # what a process needs differs by some MiB from run to run


class Rebuild(NamedTuple):
    """One rebuild in a process of its own; without /proc its peak is unknown."""

    seconds: float
    peak_mib: float | None


class Grown(NamedTuple):
    """The rebuilds of a log of so many events, one a round."""

    events: int
    runs: Sequence[Rebuild]

    @property
    def seconds_per_event(self) -> float:
        return median(run.seconds for run in self.runs) / self.events

    @property
    def peak_mib(self) -> float | None:
        peaks = [run.peak_mib for run in self.runs if run.peak_mib is not None]
        return max(peaks, default=None)


def measure(name: str, sizes: Sequence[int], *, rounds: int) -> list[Grown]:
    """Each log in a database of its own; the sizes take turns, from the shortest to the longest."""
    if not sizes:
        return []
    runs: dict[int, list[Rebuild]] = {events: [] for events in sorted(sizes)}
    with ExitStack() as stack:
        logs = {events: stack.enter_context(databases.make("postgresql")) for events in runs}
        for events, database in logs.items():
            run_in_child(_fill, database, events, count_keys(sizes))
        for events in interleave(list(runs), rounds):
            runs[events].append(run_in_child(_rebuild, logs[events], name, events))
    return [Grown(events, found) for events, found in runs.items()]


def count_keys(sizes: Sequence[int]) -> int:
    """Of all logs alike: what a rebuild holds in memory are the rows."""
    return min(KEYS, *sizes)


def _fill(database: Database, events: int, keys: int) -> None:
    site.set_up(database)
    rebuilding.fill_log(events, keys=keys)
    rebuilding.settle_table()


def _rebuild(database: Database, name: str, events: int) -> Rebuild:
    """Peak memory is the process's: Django, and making the tables that are there already, included."""
    site.set_up(database)
    done = rebuilding.rebuild(name)
    if done.events != events:
        raise RuntimeError(f"The rebuild folded {done.events} events of {events}.")
    return Rebuild(done.seconds, read_peak_mib())


def describe(found: Sequence[Grown]) -> Iterator[Figure]:
    for grown in found:
        keys = count_keys([each.events for each in found])
        yield Figure(
            table=f"a rebuild into {keys:,} rows grows, postgresql",
            name=f"{grown.events:,} events",
            values={
                "us_per_event": grown.seconds_per_event * 1e6,
                "events_per_second": round(1 / grown.seconds_per_event),
                "peak_mib": grown.peak_mib,
            },
        )


def judge(found: Sequence[Grown]) -> Iterator[Goal]:
    """Compared with each shorter log: an event may cost less in a longer one, where rows weigh less."""
    times = most_growth([grown.seconds_per_event for grown in found])
    yield at_most("time an event, over that of a shorter log", times, MAX_TIMES_AN_EVENT)
    peak = most_growth([grown.peak_mib for grown in found])
    yield at_most("peak memory, over that of a shorter log", peak, MAX_TIMES_PEAK)


def most_growth(values: Sequence[float | None]) -> float | None:
    """The highest ratio of a value to one before it; None where one is unknown, or there are not two."""
    known = [value for value in values if value is not None]
    if len(known) < max(2, len(values)):
        return None
    return max(later / known[i] for i in range(len(known)) for later in known[i + 1 :])
