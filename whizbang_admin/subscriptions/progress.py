"""How far rebuilds and backfills have come, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as translate

from whizbang.drivers.clock import database_now
from whizbang.models import Backfill, Rebuild
from whizbang.operations.estimates import say_duration
from whizbang.operations.rebuild import progress_of

OPEN = (Rebuild.Status.REQUESTED, Rebuild.Status.RUNNING)
_TONES = {"done": "ok", "failed": "fail", "cancelled": "warn"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One run: `percent` and the rest are None or empty where they are unknown."""

    is_open: bool
    status: str
    tone: str  # ok, warn, fail, or empty
    phase: str
    percent: int | None
    events: int
    rate: str
    left: str


def show_rebuild(run: Rebuild) -> Shown:
    found = progress_of(run)
    is_open = run.status in OPEN
    is_waiting = is_open and run.phase == Rebuild.Phase.HELD  # for somebody, not for a worker
    left = None if is_waiting else found.seconds_left
    return Shown(
        is_open=is_open,
        status=str(run.get_status_display()),
        tone=_TONES.get(run.status, ""),
        phase=str(run.get_phase_display()) if is_open and run.phase else "",
        percent=round(found.percent) if is_open and found.percent is not None else None,
        events=found.events,
        rate="" if is_waiting else _rate(found.events_per_second),
        left="" if left is None or not is_open else say_duration(left),
    )


def show_backfill(run: Backfill) -> Shown:
    is_open = run.status in (Backfill.Status.REQUESTED, Backfill.Status.RUNNING)
    seconds = _seconds(run)
    rate = run.events_done / seconds if seconds and run.events_done else None
    left = (run.events - run.events_done) / rate if rate and is_open else None
    share = 100 * run.events_done / run.events if run.events else 100
    return Shown(
        is_open=is_open,
        status=str(run.get_status_display()),
        tone=_TONES.get(run.status, ""),
        phase="",
        percent=min(100, round(share)) if is_open else None,
        events=run.events_done,
        rate=_rate(rate),
        left="" if left is None else say_duration(max(0.0, left)),
    )


def _rate(per_second: float | None) -> str:
    if not per_second:
        return ""
    return translate("%s events a second") % f"{per_second:,.0f}"


def _seconds(run: Any) -> float | None:
    if run.started_at is None:
        return None
    end = run.finished_at or database_now(run._state.db or "default")
    return max(0.001, float((end - run.started_at).total_seconds()))
