"""Interleaved timing: every contestant runs once a round, so that a noisy moment hits them all.

Figures are medians over the rounds. A ratio is the median of the rounds' own ratios, which is
steadier than the ratio of two medians when the machine's speed drifts.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import repeat
from statistics import median, quantiles
from time import perf_counter
from typing import Any, TypeVar

T = TypeVar("T")

# Does `count` operations and returns the seconds they took, without its own preparations.
Run = Callable[[int], float]

CALIBRATION_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One form of the work. `around` is entered for its turn in each round, outside the clock."""

    name: str
    run: Run
    around: Callable[[], AbstractContextManager[object]] = field(default=nullcontext)


@dataclass(frozen=True, slots=True)
class Series:
    """Seconds an operation took, one figure a round."""

    seconds: tuple[float, ...]

    @property
    def median_seconds(self) -> float:
        return median(self.seconds)

    @property
    def spread_percent(self) -> float:
        """Distance between the quartiles, in percent of the median."""
        return _spread_percent(self.seconds)

    def times(self, other: Series) -> float:
        """How many times as long as `other` this takes."""
        return median(self._ratios(other))

    def spread_of_times(self, other: Series) -> float:
        """The spread of the rounds' own ratios, in percent of `times`."""
        return _spread_percent(self._ratios(other))

    def minus(self, other: Series) -> float:
        """How many seconds longer than `other` this takes."""
        return median(mine - its for mine, its in zip(self.seconds, other.seconds, strict=True))

    def _ratios(self, other: Series) -> list[float]:
        return [mine / its for mine, its in zip(self.seconds, other.seconds, strict=True)]


def _spread_percent(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    low, _, high = quantiles(values, n=4, method="inclusive")
    return 100 * (high - low) / median(values)


def time_calls(call: Callable[[Any], object], argument: Any, count: int) -> float:
    started = perf_counter()
    for _ in repeat(None, count):
        call(argument)
    return perf_counter() - started


def time_each(call: Callable[[Any], object], arguments: Iterable[Any]) -> float:
    started = perf_counter()
    for argument in arguments:
        call(argument)
    return perf_counter() - started


def calibrate(contestant: Contestant, *, seconds: float) -> int:
    """Find how many operations fill `seconds`; also the contestant's warm-up."""
    count, taken = 1, 0.0
    with contestant.around():
        while taken < min(seconds, CALIBRATION_SECONDS):
            count *= 4
            taken = contestant.run(count)
    return max(1, round(count * seconds / taken))


def measure_round(contestant: Contestant, count: int) -> float:
    with contestant.around():
        contestant.run(1)
        gc.collect()
        return contestant.run(count) / count


def interleave(contestants: Sequence[T], rounds: int) -> Iterable[T]:
    """Every contestant once a round, each round starting with the next one."""
    for number in range(rounds):
        start = number % len(contestants)
        yield from [*contestants[start:], *contestants[:start]]


def measure(
    contestants: Sequence[Contestant], *, rounds: int, round_seconds: float
) -> dict[str, Series]:
    """Time each contestant for about `round_seconds` a round; for work that can be repeated."""
    counts = {each.name: calibrate(each, seconds=round_seconds) for each in contestants}
    return _measure(contestants, rounds, counts)


def measure_stock(
    contestants: Sequence[Contestant], *, rounds: int, operations: int
) -> dict[str, Series]:
    """Time `operations` a round, for work that uses up something prepared.

    Each contestant uses `rounds * (operations + 1) + operations` pieces (see `stock_needed`): one
    more a round to warm up, and a first round that does not count.
    """
    for contestant in contestants:
        with contestant.around():
            contestant.run(operations)
    return _measure(contestants, rounds, {each.name: operations for each in contestants})


def stock_needed(*, rounds: int, operations: int) -> int:
    return rounds * (operations + 1) + operations


def _measure(
    contestants: Sequence[Contestant], rounds: int, counts: dict[str, int]
) -> dict[str, Series]:
    taken: dict[str, list[float]] = {each.name: [] for each in contestants}
    for contestant in interleave(contestants, rounds):
        taken[contestant.name].append(measure_round(contestant, counts[contestant.name]))
    return {name: Series(tuple(seconds)) for name, seconds in taken.items()}
