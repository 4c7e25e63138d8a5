"""How far a rebuild has come, as any process sees it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Sum

from whizbang.drivers.clock import database_now
from whizbang.exceptions import WhizbangError
from whizbang.models import Rebuild
from whizbang.operations.rebuild.requests import find_projection
from whizbang.operations.rebuild.shares import shares_of
from whizbang.store.event_store import event_store


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildProgress:
    """What is unknown is None. Percent and time left speak of folding history, which is most of the work."""

    phase: str
    events: int
    percent: float | None
    events_per_second: float | None
    seconds_left: float | None

    def text(self) -> str:
        """For a line of a list: phase, events, percent, rate and time left, as far as they are known."""
        parts = [self.phase.replace("_", " ")] if self.phase else []
        parts.append(f"{self.events} events")
        if self.phase and self.percent is not None:
            parts.append(f"{self.percent:.0f} %")
        if self.events_per_second:
            parts.append(f"{self.events_per_second:.0f}/s")
        if self.seconds_left:
            parts.append(f"{self.seconds_left:.0f} s left")
        return ", ".join(parts)


def progress_of(run: Rebuild) -> RebuildProgress:
    """Of a run as its row and those of its shares tell it now."""
    events, position, shares = _counts(run)
    percent = None
    if run.target:
        percent = min(100.0, 100 * position / (run.target * shares))
    rate = left = None
    seconds = _seconds(run)
    if seconds:
        rate = events / seconds
        if percent and run.status == Rebuild.Status.RUNNING:
            left = seconds * (100 - percent) / percent
    return RebuildProgress(
        phase=run.phase,
        events=events,
        percent=percent,
        events_per_second=rate,
        seconds_left=left,
    )


def _counts(run: Rebuild) -> tuple[int, int, int]:
    """Events, the sum of positions, and how many shares it is of."""
    if run.phase == Rebuild.Phase.FOLDING:
        try:
            using = find_projection(event_store(), run.projection).using
        except WhizbangError:  # its code is gone, and its row remains
            return run.events, run.position, 1
        found = shares_of(run, using=using).aggregate(
            events=Sum("events"), position=Sum("position")
        )
        return found["events"] or 0, found["position"] or 0, run.shares
    return run.events, run.position, 1


def _seconds(run: Rebuild) -> float | None:
    if run.started_at is None:
        return None
    end = run.finished_at or database_now(event_store().using)
    return float((end - run.started_at).total_seconds())
