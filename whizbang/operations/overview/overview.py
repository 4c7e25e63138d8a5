"""Everything that the overview shows, in few statements and bounded time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from whizbang.drivers.clock import database_now
from whizbang.models import ActionRequest, StoreHead
from whizbang.operations.overview.figures import Figures, measure
from whizbang.operations.overview.history import MINUTES, MOST_SAMPLES, History, Series
from whizbang.operations.overview.sampling import newest_samples
from whizbang.operations.overview.standing import QuickAge, Standing, read_standings
from whizbang.operations.overview.subscription_state import SubscriptionState, state_of
from whizbang.operations.overview.trouble import Trouble
from whizbang.operations.overview.verdict import find_troubles
from whizbang.operations.overview.workers import LeaseEntry, WorkerEntry, list_leases, list_workers
from whizbang.store.event_store import EventStore, event_store

_PUBLISHED_SECONDS = 5.0  # a worker publishes the head twice a second
_FRESH_SECONDS = 60.0  # where the newest sample is older, no worker measures any more
_MOST_COUNTED_NOW = 10_000
_MOST_REQUESTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Where everything stands. `figures` were measured at `measured_at`, `measured_seconds` ago; the head, positions,
    workers, leases and requests are as they are now."""

    at: datetime
    head: int
    events_per_second: float | None
    held_back_by: list[str]
    measured_at: datetime
    measured_seconds: float
    figures: Figures
    subscriptions: list[SubscriptionState]
    workers: list[WorkerEntry]
    leases: list[LeaseEntry]
    requests_waiting: int
    is_worked: bool  # was a worker seen lately?
    minutes: list[datetime]  # of each value of a series
    rates: Series  # events a second
    outbox: Series
    troubles: list[Trouble]

    @property
    def is_well(self) -> bool:
        return not self.troubles


def read_overview(store: EventStore | None = None) -> Overview:
    """Look at everything: a dozen statements while a worker measures, else some more."""
    store = store or event_store()
    now = database_now(store.using)
    head = _read_head(store, now)
    since = now - timedelta(minutes=MINUTES)
    samples = newest_samples(store, limit=MOST_SAMPLES, since=since)
    history = History(samples, now=now)
    is_fresh = bool(samples) and (now - samples[-1].at).total_seconds() <= _FRESH_SECONDS
    if is_fresh:
        measured_at, figures = samples[-1]
        standings: Sequence[Standing] = read_standings(store, head)
    else:
        found = measure(store, head=head, most=_MOST_COUNTED_NOW, age=QuickAge())
        measured_at, figures, standings = now, found.figures, found.standings
    workers = list_workers(store)
    subscriptions = [state_of(standing, figures, history) for standing in standings]
    requests = ActionRequest.objects.using(store.using)
    waiting = requests.filter(status=ActionRequest.Status.WAITING)[:_MOST_REQUESTS].count()
    is_worked = is_fresh or any(not worker.is_gone for worker in workers)
    return Overview(
        at=now,
        head=head,
        events_per_second=history.head_rate() if is_fresh else None,
        held_back_by=store.driver.tail(after=head).explain(),
        measured_at=measured_at,
        measured_seconds=max(0.0, (now - measured_at).total_seconds()),
        figures=figures,
        subscriptions=subscriptions,
        workers=workers,
        leases=list_leases(store),
        requests_waiting=waiting,
        is_worked=is_worked,
        minutes=history.minutes,
        rates=history.events_per_second(),
        outbox=history.worst_of(lambda sample: sample.figures.outbox),
        troubles=find_troubles(
            figures, subscriptions, workers, is_worked=is_worked, requests_waiting=waiting
        ),
    )


def _read_head(store: EventStore, now: datetime) -> int:
    """As a worker published it; without one the store settles it, which may take a moment."""
    row = StoreHead.objects.using(store.using).filter(id=1).first()
    if row is not None and row.published_at is not None:
        if (now - row.published_at).total_seconds() <= _PUBLISHED_SECONDS:
            return row.position
    return store.head()
