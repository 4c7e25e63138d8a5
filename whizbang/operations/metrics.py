"""Gauges of where everything stands, for whoever collects metrics."""

from __future__ import annotations

import time
from typing import Any

from django.db.models import Count, Min

from whizbang.drivers.clock import database_now
from whizbang.drivers.telemetry import names, telemetry
from whizbang.drivers.telemetry.base import Gauge, Reading
from whizbang.models import DeadLetter, InboxMessage, OutboxMessage
from whizbang.operations.status import PartitionStatus, SubscriptionStatus, subscription_statuses
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.leases import LeaseHolder

LOOK_SECONDS = 15.0
_LEASE = "whizbang.metrics"
_WAITING = (
    InboxMessage.Status.STORED,
    InboxMessage.Status.RUNNING,
    InboxMessage.Status.RETRYING,
)

LAG = Gauge("whizbang.projection.lag", "{event}", "Positions up to the settled head")
LAG_TIME = Gauge("whizbang.projection.lag_time", "s", "Age of the first event not applied")
PARKED = Gauge("whizbang.parked.count", "{stream}", "Streams that are set aside")
INBOX = Gauge("whizbang.inbox.pending.count", "{message}", "Messages to handle")
OUTBOX = Gauge("whizbang.outbox.pending.count", "{message}", "Messages to publish")
OUTBOX_AGE = Gauge("whizbang.outbox.oldest_age", "s", "Age of the oldest message to publish")
DEAD_LETTERS = Gauge("whizbang.dead_letter.count", "{message}", "Messages that were given up")


class MetricsPart:
    """One worker of all measures, now and then; another one does when it is gone."""

    def __init__(self, store: EventStore, owner: str) -> None:
        self.store = store
        self._leases = LeaseHolder(owner, using=store.using)
        self._source = f"{__name__}:{store.alias}"
        self._next_at = 0.0

    def run_once(self) -> None:
        """Measure when it is time, and when somebody collects."""
        if time.monotonic() < self._next_at or not telemetry.is_enabled():
            return
        self._next_at = time.monotonic() + LOOK_SECONDS
        if not telemetry.collects_metrics():
            return
        is_ours = self._leases.epoch_of(_LEASE) is not None
        telemetry.set_gauges(self._source, read_gauges(self.store) if is_ours else {})

    def close(self) -> None:
        telemetry.set_gauges(self._source, {})
        self._leases.release_all()


def read_gauges(store: EventStore) -> dict[Gauge, list[Reading]]:
    """What stands where right now; what is unknown is left out."""
    statuses = [s for s in subscription_statuses(store) if s.kind != "inline"]
    outbox = _read_outbox(store)
    return {
        LAG: [Reading(p.lag_events, _named(s, p)) for s in statuses for p in s.partitions],
        LAG_TIME: [Reading(p.lag_seconds, _named(s, p)) for s in statuses for p in s.partitions],
        PARKED: [Reading(s.parked, _named(s)) for s in statuses],
        INBOX: [Reading(count, _of(store, status)) for status, count in _read_inbox(store).items()],
        OUTBOX: [Reading(outbox["count"], _of(store))],
        OUTBOX_AGE: [Reading(_age(store, outbox["oldest"]), _of(store))],
        DEAD_LETTERS: [Reading(_count(DeadLetter, store), _of(store))],
    }


def _read_inbox(store: EventStore) -> dict[str, int]:
    """By status."""
    rows = InboxMessage.objects.using(store.using).filter(status__in=_WAITING)
    found = dict(rows.order_by().values_list("status").annotate(Count("pk")))
    return {status.value: found.get(status.value, 0) for status in _WAITING}


def _read_outbox(store: EventStore) -> dict[str, Any]:
    rows = OutboxMessage.objects.using(store.using).filter(published_at__isnull=True)
    return rows.aggregate(count=Count("id"), oldest=Min("occurred_at"))


def _age(store: EventStore, oldest: Any) -> float:
    """Zero when there is none: then nothing is late."""
    return 0.0 if oldest is None else max(0.0, (database_now(store.using) - oldest).total_seconds())


def _count(model: Any, store: EventStore) -> int:
    count: int = model.objects.using(store.using).count()
    return count


def _named(status: SubscriptionStatus, partition: PartitionStatus | None = None) -> dict[str, str]:
    named = {names.SUBSCRIPTION_NAME: status.name, names.SUBSCRIPTION_KIND: status.kind}
    if partition is not None and len(status.partitions) > 1:
        named[names.SUBSCRIPTION_PARTITION] = str(partition)
    return named


def _of(store: EventStore, status: str = "") -> dict[str, str]:
    where = {names.STORE: store.alias}
    return {**where, names.MESSAGE_STATUS: status} if status else where
