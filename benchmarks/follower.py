"""What one reader that follows the log costs writers at half their highest rate."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.measuring import Series
from benchmarks.report import Figure
from benchmarks.writers import POLL_SECONDS, Slot, Work, Writers

if TYPE_CHECKING:
    from benchmarks.append import Size
    from benchmarks.appenders.base import Appender

ALONE, WITH = "writers alone", "writers and one follower"
PAGE_EVENTS = 500
MAX_PACED_SECONDS = 0.6
SETTLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """An append's median time in each round, and what writers achieved of what they were paced to."""

    latency: dict[str, Series]
    p99_seconds: dict[str, float]
    rate: dict[str, float]
    seen: int

    @property
    def ratio(self) -> float:
        return self.latency[WITH].times(self.latency[ALONE])

    @property
    def limit(self) -> float:
        """One, and the spread of the rounds without a follower."""
        return round(1 + self.latency[ALONE].spread_percent / 100, 3)


class Follower:
    """Reads like a worker: by a tail, decoding all, asking again at once while there is more."""

    def __init__(self) -> None:
        import whizbang

        self._store = whizbang.event_store()
        self._tail = self._store.driver.tail(after=self._store.head())
        self.seen = 0

    def follow(self, slot: Slot) -> None:
        while perf_counter() < slot.stop:
            if not self.read():
                time.sleep(POLL_SECONDS)

    def read(self) -> bool:
        rows = self._tail.read(limit=PAGE_EVENTS)
        for row in rows:
            self._store.decode(row)
        self.seen += len(rows)
        return bool(rows)

    def read_to(self, count: int) -> None:
        """Raises RuntimeError when it has not seen so many events in the end."""
        deadline = perf_counter() + SETTLE_SECONDS
        while self.seen < count and perf_counter() < deadline:
            if not self.read():
                time.sleep(POLL_SECONDS)
        if self.seen != count:
            raise RuntimeError(f"The follower saw {self.seen} events of {count}.")


def measure(pool: Writers, appender: Appender, *, writers: int, size: Size) -> Followed:
    from django.db import connections

    interval = find_interval(pool, appender, writers=writers, seconds=size.seconds)
    # Long enough for some appends of each writer, however small the benchmark.
    seconds = max(min(2 * size.seconds, MAX_PACED_SECONDS), 3 * interval)
    found: dict[str, list[list[Work]]] = {ALONE: [], WITH: []}
    follower = Follower()
    for number in range(size.rounds):
        for name in (ALONE, WITH) if number % 2 else (WITH, ALONE):
            before = follower.seen
            work = pool.run(
                appender,
                writers=writers,
                seconds=seconds,
                interval_seconds=interval,
                beside=follower.follow if name == WITH else None,
            )
            found[name].append(work)
            written = sum(w.operations + appender.warm_ups for w in work)
            follower.read_to(before + written)
    connections.close_all()
    return Followed(
        latency={name: Series(tuple(map(_median_latency, r))) for name, r in found.items()},
        p99_seconds={name: _p99(rounds) for name, rounds in found.items()},
        rate={name: median(map(_rate, rounds)) for name, rounds in found.items()},
        seen=follower.seen,
    )


def find_interval(pool: Writers, appender: Appender, *, writers: int, seconds: float) -> float:
    """Seconds between two appends of a writer at half of what all of them reach together."""
    reached = median(_rate(pool.run(appender, writers=writers, seconds=seconds)) for _ in range(3))
    return writers / (reached / 2)


def _rate(work: Sequence[Work]) -> float:
    return sum(w.operations / w.elapsed_seconds for w in work)


def _latencies(work: Sequence[Work]) -> list[float]:
    return [seconds for w in work for seconds in w.latencies]


def _median_latency(work: Sequence[Work]) -> float:
    return median(_latencies(work))


def _p99(rounds: Sequence[Sequence[Work]]) -> float:
    return quantiles([s for work in rounds for s in _latencies(work)], n=100)[-1]


def describe(table: str, followed: Followed) -> Iterator[Figure]:
    for name, series in followed.latency.items():
        yield Figure(
            table=table,
            name=name,
            values={
                "events_per_second": round(followed.rate[name]),
                "median_us": series.median_seconds * 1e6,
                "spread_percent": series.spread_percent,
                "p99_us": followed.p99_seconds[name] * 1e6,
                "times_alone": series.times(followed.latency[ALONE]),
            },
        )
