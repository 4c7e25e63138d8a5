"""How fast a subscription goes, from the figures that workers keep."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from whizbang.models import MetricSample
from whizbang.store.event_store import event_store

_SPAN = timedelta(minutes=5)


class Pace(NamedTuple):
    """Positions a second, and the seconds until it has caught up; None is unknown, or never."""

    per_second: float | None = None
    seconds_left: float | None = None


def pace_of(name: str, lag: int | None) -> Pace:
    """Between the newest sample and the oldest one of the minutes before it."""
    rows = MetricSample.objects.using(event_store().using)
    last = rows.order_by("-at").first()
    if last is None:
        return Pace()
    first = rows.filter(at__gte=last.at - _SPAN).order_by("at").first()
    if first is None or first.at >= last.at:
        return Pace()
    was, now = _position(first.figures, name), _position(last.figures, name)
    if was is None or now is None:
        return Pace()
    seconds = (last.at - first.at).total_seconds()
    rate = (now - was) / seconds
    nearing = rate - (last.figures["head"] - first.figures["head"]) / seconds
    if not lag:
        return Pace(rate, 0.0 if lag == 0 else None)
    return Pace(rate, lag / nearing if nearing > 0 else None)


def _position(figures: dict[str, Any], name: str) -> int | None:
    lag = figures.get("subscriptions", {}).get(name, {}).get("lag_events")
    head = figures.get("head")
    return None if lag is None or head is None else int(head) - int(lag)
