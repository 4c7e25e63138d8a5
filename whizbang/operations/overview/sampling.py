"""A bounded history of the figures: a row now and then, for a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from whizbang.drivers.clock import database_now
from whizbang.models import MetricSample, WorkerProcess
from whizbang.operations.overview.figures import Figures
from whizbang.store.event_store import EventStore

SAMPLE_SECONDS = 15.0
_KEPT = timedelta(hours=24)
_MOST_SAMPLES = 6_000
_STEP = 200  # rows that one sample may remove


class Sample(NamedTuple):
    """The figures at one moment, on the database's clock."""

    at: datetime
    figures: Figures


def is_due(store: EventStore) -> bool:
    """Is the newest sample old enough for the next one, whichever worker took it?"""
    recent = database_now(store.using) - timedelta(seconds=SAMPLE_SECONDS * 0.8)
    return not MetricSample.objects.using(store.using).filter(at__gt=recent).exists()


def keep_sample(store: EventStore, figures: Figures) -> None:
    """Write one, and remove what is too old: of samples, and of workers that were not seen for a day."""
    rows = MetricSample.objects.using(store.using)
    now = database_now(store.using)
    rows.create(at=now, figures=msgspec.to_builtins(figures))
    doomed = list(
        rows.filter(at__lt=now - _KEPT).order_by("at").values_list("pk", flat=True)[:_STEP]
    )
    too_many = rows.order_by("-at").values_list("pk", flat=True)
    doomed += list(too_many[_MOST_SAMPLES : _MOST_SAMPLES + _STEP])
    if doomed:
        rows.filter(pk__in=doomed).delete()
    WorkerProcess.objects.using(store.using).filter(seen_at__lt=now - _KEPT).delete()


def newest_samples(store: EventStore, *, limit: int, since: datetime) -> Sequence[Sample]:
    """Of the time from `since` on, the oldest first; one that another version wrote and this one cannot read is left out."""
    rows = MetricSample.objects.using(store.using).filter(at__gte=since).order_by("-at")
    found = [_read(at, figures) for at, figures in rows.values_list("at", "figures")[:limit]]
    return [sample for sample in reversed(found) if sample is not None]


def _read(at: datetime, stored: Any) -> Sample | None:
    try:
        return Sample(at, msgspec.convert(stored, Figures))
    except msgspec.ValidationError:
        return None
