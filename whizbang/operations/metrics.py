"""Figures of where everything stands: gauges for whoever collects metrics, and samples for the overview."""

from __future__ import annotations

import time

from whizbang.drivers.telemetry import names, telemetry
from whizbang.drivers.telemetry.base import Gauge, Reading
from whizbang.operations.overview import sampling
from whizbang.operations.overview.figures import Measured, measure
from whizbang.operations.overview.standing import PartitionStanding, Standing
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.leases import LeaseHolder

LOOK_SECONDS = sampling.SAMPLE_SECONDS
_REST = 60  # it pauses for so many times what it took
_LEASE = "whizbang.metrics"

LAG = Gauge("whizbang.projection.lag", "{event}", "Positions up to the settled head")
LAG_TIME = Gauge("whizbang.projection.lag_time", "s", "Age of the first event not applied")
PARKED = Gauge("whizbang.parked.count", "{stream}", "Streams that are set aside")
INBOX = Gauge("whizbang.inbox.pending.count", "{message}", "Messages to handle")
OUTBOX = Gauge("whizbang.outbox.pending.count", "{message}", "Messages to publish")
OUTBOX_AGE = Gauge("whizbang.outbox.oldest_age", "s", "Age of the oldest message to publish")
DEAD_LETTERS = Gauge("whizbang.dead_letter.count", "{message}", "Messages that were given up")


class MetricsPart:
    """One worker of all measures, now and then, once for the gauges and for the overview's samples; another one
    does when it is gone."""

    def __init__(self, store: EventStore, owner: str, *, keeps_samples: bool = False) -> None:
        self.store = store
        self._leases = LeaseHolder(owner, using=store.using)
        self._source = f"{__name__}:{store.alias}"
        self._keeps_samples = keeps_samples
        self._next_at = 0.0

    def run_once(self) -> None:
        """Measure when it is time, and when somebody collects or samples are kept."""
        if time.monotonic() < self._next_at:
            return
        collects = telemetry.is_enabled() and telemetry.collects_metrics()
        if not (collects or self._keeps_samples):
            return
        self._next_at = time.monotonic() + LOOK_SECONDS
        is_ours = self._leases.epoch_of(_LEASE) is not None
        keeps = self._keeps_samples and is_ours and sampling.is_due(self.store)
        found = self._measure() if is_ours and (collects or keeps) else None
        if found is not None and keeps:
            sampling.keep_sample(self.store, found.figures)
        if collects:
            telemetry.set_gauges(
                self._source, {} if found is None else gauges_of(self.store, found)
            )

    def _measure(self) -> Measured:
        """Where it takes long it is done less often: the worker has other work."""
        started = time.monotonic()
        found = measure(self.store)
        ended = time.monotonic()
        self._next_at = max(self._next_at, ended + _REST * (ended - started))
        return found

    def close(self) -> None:
        telemetry.set_gauges(self._source, {})
        self._leases.release_all()


def gauges_of(store: EventStore, found: Measured) -> dict[Gauge, list[Reading]]:
    """What stands where; what is unknown is left out."""
    figures, standings = found.figures, found.standings
    age = figures.outbox_oldest_seconds
    return {
        LAG: [Reading(p.lag_events, _named(s, p)) for s in standings for p in s.partitions],
        LAG_TIME: [
            Reading(p.lag_seconds, _named(s, p))
            for s in standings
            for p in s.partitions
            if p.lag_seconds is not None
        ],
        PARKED: [Reading(figures.subscriptions[s.name].parked, _named(s)) for s in standings],
        INBOX: [Reading(count, _of(store, status)) for status, count in figures.inbox.items()],
        OUTBOX: [Reading(figures.outbox, _of(store))],
        # Zero when there is none: then nothing is late.
        OUTBOX_AGE: [Reading(0.0 if age is None else age, _of(store))],
        DEAD_LETTERS: [Reading(figures.dead_letters, _of(store))],
    }


def _named(standing: Standing, partition: PartitionStanding | None = None) -> dict[str, str]:
    named = {names.SUBSCRIPTION_NAME: standing.name, names.SUBSCRIPTION_KIND: standing.kind}
    if partition is not None and len(standing.partitions) > 1:
        named[names.SUBSCRIPTION_PARTITION] = str(partition.slices)
    return named


def _of(store: EventStore, status: str = "") -> dict[str, str]:
    where = {names.STORE: store.alias}
    return {**where, names.MESSAGE_STATUS: status} if status else where
