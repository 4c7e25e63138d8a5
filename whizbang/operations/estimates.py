"""How many events, how many rows, how long: told at once, exactly where that is quick."""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.utils.translation import gettext as translate
from django.utils.translation import ngettext

from whizbang.operations.scope import Section
from whizbang.store.event_store import EventStore

_FIRST_WINDOW = 20_000  # positions that are counted at once, from the end of the section on
_MOST_SECONDS = 0.1
_MOST_ROWS = 100_000
_NO_END = 2**63 - 1
_CLOCKS_DIFFER = timedelta(hours=1)
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


class Estimate(NamedTuple):
    """A number of events; `is_exact` where there was the time to count all of them."""

    events: int
    is_exact: bool = True
    is_least: bool = False  # there are so many, and perhaps more

    def __str__(self) -> str:
        if self.is_exact:
            return f"{self.events:,}"
        text = translate("%s or more") if self.is_least else translate("about %s")
        return text % f"{self.events:,}"


def estimate_events(
    store: EventStore, section: Section, *, most_seconds: float = _MOST_SECONDS
) -> Estimate:
    """Count back from the section's end until the time is over; the rest is taken to be alike.

    Where the section is bounded by time as well, what was not looked at may have nothing of it.
    """
    began = time.monotonic()
    found, at, size = 0, section.until, _FIRST_WINDOW
    while at > section.after:
        low, window_began = max(section.after, at - size), time.monotonic()
        found += store.driver.count_log(after=low, until=at, filter=section.filter)
        if _is_all_older(store, low, section.filter.since):
            return Estimate(found)
        at, size, now = low, size * 2, time.monotonic()
        if now + 2 * (now - window_began) >= began + most_seconds:  # the next one is twice as big
            break
    if at <= section.after:
        return Estimate(found)
    if section.filter.since is not None or section.filter.before is not None:
        return Estimate(found, is_exact=False, is_least=True)
    share = (section.until - at) / (section.until - section.after)
    return Estimate(round(found / share), is_exact=False)


def _is_all_older(store: EventStore, position: int, since: datetime | None) -> bool:
    """Was everything up to a position recorded before a time? Positions follow it, but for clocks that differ."""
    if since is None:
        return False
    row = next(store.driver.read_log(after=position, until=_NO_END, limit=1), None)
    return row is not None and row.recorded_at + _CLOCKS_DIFFER < since


def estimate_rows(rows: Any) -> str:
    """How many rows a queryset has, such as "12,403", or "100,000+" where that many were counted."""
    found = rows.order_by()[: _MOST_ROWS + 1].count()
    return f"{min(found, _MOST_ROWS):,}" + ("+" if found > _MOST_ROWS else "")


def say_duration(seconds: float) -> str:
    """In the unit that fits, such as "12 seconds" or "3 hours"; rounded up."""
    if seconds < 1:
        return translate("less than a second")
    if seconds >= 2 * _DAY:
        count = _up(seconds / _DAY)
        return ngettext("%d day", "%d days", count) % count
    if seconds >= 2 * _HOUR:
        count = _up(seconds / _HOUR)
        return ngettext("%d hour", "%d hours", count) % count
    if seconds >= 2 * _MINUTE:
        count = _up(seconds / _MINUTE)
        return ngettext("%d minute", "%d minutes", count) % count
    count = _up(seconds)
    return ngettext("%d second", "%d seconds", count) % count


def _up(number: float) -> int:
    return int(math.ceil(number))
