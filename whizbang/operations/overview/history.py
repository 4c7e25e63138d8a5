"""The last half hour of the samples, minute by minute, and how fast things go by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from whizbang.operations.overview.figures import SubscriptionFigures
from whizbang.operations.overview.sampling import SAMPLE_SECONDS, Sample

MINUTES = 30
MOST_SAMPLES = int(MINUTES * 60 / SAMPLE_SECONDS)
_RATE_SECONDS = 60.0  # over which a rate is taken
_UNKNOWN = SubscriptionFigures()

Series = list[float | None]  # a value a minute, the last one now; None where nothing was measured


class History:
    """Samples of the last half hour, the oldest first."""

    def __init__(self, samples: Sequence[Sample], *, now: datetime) -> None:
        self.samples, self._now = samples, now

    @property
    def minutes(self) -> list[datetime]:
        """When each value of a series was measured, about."""
        return [self._now - timedelta(minutes=MINUTES - 1 - index) for index in range(MINUTES)]

    def worst_of(self, value: Callable[[Sample], float | None]) -> Series:
        """The highest value of each minute."""
        return self._by_minute(((s.at, value(s)) for s in self.samples), max)

    def lag_of(self, name: str) -> Series:
        """Events that a subscription lagged behind."""
        return self.worst_of(lambda s: s.figures.subscriptions.get(name, _UNKNOWN).lag_events)

    def events_per_second(self) -> Series:
        """How fast the head moved; gaps in positions count, as those of transactions that were rolled back do."""
        rates = (
            (after.at, (after.figures.head - before.figures.head) / _seconds(before, after))
            for before, after in pairwise(self.samples)
            if after.at > before.at
        )
        return self._by_minute(rates, lambda values: sum(values) / len(values))

    def head_rate(self) -> float | None:
        """Events a second over about the last minute; None without two samples."""
        span = self._span()
        if span is None:
            return None
        before, after = span
        return (after.figures.head - before.figures.head) / _seconds(before, after)

    def nearing_of(self, name: str) -> float | None:
        """By how many events a second the lag of a subscription has become smaller; negative where it grows."""
        span = self._span()
        if span is None:
            return None
        before, after = span
        was = before.figures.subscriptions.get(name, _UNKNOWN).lag_events
        now = after.figures.subscriptions.get(name, _UNKNOWN).lag_events
        return None if was is None or now is None else (was - now) / _seconds(before, after)

    def _span(self) -> tuple[Sample, Sample] | None:
        if len(self.samples) < 2:
            return None
        newest = self.samples[-1]
        oldest = newest.at - timedelta(seconds=_RATE_SECONDS)
        before = next(s for s in self.samples if s.at >= oldest)
        if before is newest:
            before = self.samples[-2]
        return (before, newest) if newest.at > before.at else None

    def _by_minute(
        self,
        values: Iterator[tuple[datetime, float | None]],
        combine: Callable[[list[float]], float],
    ) -> Series:
        found: list[list[float]] = [[] for _ in range(MINUTES)]
        for at, value in values:
            index = MINUTES - 1 - int((self._now - at).total_seconds() // 60)
            if value is not None and 0 <= index < MINUTES:
                found[index].append(value)
        return [combine(minute) if minute else None for minute in found]


def _seconds(before: Sample, after: Sample) -> float:
    return (after.at - before.at).total_seconds()
