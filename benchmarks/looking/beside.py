"""Whether writers at half their highest rate notice that somebody opens the console."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import count, cycle
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple
from uuid import uuid4

from benchmarks.appenders.base import Appender
from benchmarks.follower import find_interval
from benchmarks.measuring import Series
from benchmarks.writers import Slot, Work, Writers

WRITERS = 8
ALONE, WITH = "nobody looks", "somebody opens the console"
_SECONDS_BETWEEN_PAGES = 0.5  # of somebody who clicks quickly


class OrderAppender(Appender):
    """Places an order, the first event of a new stream."""

    def open(self, writer: int) -> None:
        import whizbang
        from projects.example.orders.messages import OrderConfirmed

        self._store, self._event, self._no_stream = (
            whizbang.event_store(),
            OrderConfirmed,
            whizbang.NO_STREAM,
        )
        self._names: Iterator[str] = (f"written-{uuid4().hex[:8]}-{n}" for n in count())

    def append(self) -> None:
        name = next(self._names)
        event = self._event(order_id=name)
        self._store.append(f"orders.Order-{name}", [event], expected=self._no_stream)

    def close(self) -> None:
        from django.db import connection

        connection.close()


class Disturbed(NamedTuple):
    """An append's median time in each round, its p99, and the rate that was reached."""

    latency: dict[str, Series]
    p99_seconds: dict[str, float]
    rate: dict[str, float]
    pages: int  # that were opened meanwhile

    @property
    def ratio(self) -> float:
        return self.latency[WITH].times(self.latency[ALONE])

    @property
    def limit(self) -> float:
        """One, and the spread of the rounds in which nobody looks."""
        return round(1 + self.latency[ALONE].spread_percent / 100, 3)


class Onlooker:
    """Opens one page after the other, as somebody does who looks for something."""

    def __init__(self, client: Any, paths: Sequence[str]) -> None:
        self._client, self._paths = client, cycle(paths)
        self.opened = 0

    def look(self, slot: Slot) -> None:
        while perf_counter() < slot.stop:
            self._client.get(next(self._paths))
            self.opened += 1
            time.sleep(max(0.0, min(_SECONDS_BETWEEN_PAGES, slot.stop - perf_counter())))


def measure(
    pool: Writers, appender: Appender, onlooker: Onlooker, *, rounds: int, seconds: float
) -> Disturbed:
    """Turn by turn without and with the onlooker."""
    interval = find_interval(pool, appender, writers=WRITERS, seconds=seconds)
    found: dict[str, list[Sequence[Work]]] = {ALONE: [], WITH: []}
    for number in range(rounds):
        for name in (ALONE, WITH) if number % 2 else (WITH, ALONE):
            work = pool.run(
                appender,
                writers=WRITERS,
                seconds=max(seconds, 3 * interval),
                interval_seconds=interval,
                beside=onlooker.look if name == WITH else None,
            )
            found[name].append(work)
    return Disturbed(
        {
            name: Series(tuple(median(_latencies(w)) for w in turns))
            for name, turns in found.items()
        },
        {name: _p99([s for w in turns for s in _latencies(w)]) for name, turns in found.items()},
        {name: median(map(_rate, turns)) for name, turns in found.items()},
        onlooker.opened,
    )


def _latencies(work: Sequence[Work]) -> list[float]:
    return [seconds for each in work for seconds in each.latencies]


def _rate(work: Sequence[Work]) -> float:
    return sum(each.operations / each.elapsed_seconds for each in work)


def _p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
