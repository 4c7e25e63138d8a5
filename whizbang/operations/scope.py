"""Which part of history is meant: by dates, positions, numbers of events, streams, or all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from whizbang.drivers.clock import database_now
from whizbang.drivers.stores.base import LogFilter, StoredRow
from whizbang.exceptions import WhizbangError
from whizbang.store.event_store import EventStore, as_instant

_MOST_STREAMS = 1_000
_MOST_DAYS = 366_000  # a thousand years: dates begin at the year 1
_FIRST_WINDOW = 1_000  # positions that are counted at once from the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A part of history; what is given holds together. Raises WhizbangError for what means nothing.

    Dates are those of recording, since <= recorded_at < before (a date is midnight UTC, a datetime is
    aware). Positions: after < position <= until. `last_events` are the last ones of the reader's types.
    """

    since: datetime | date | None = None
    before: datetime | date | None = None
    last_days: float | None = None
    after: int | None = None
    until: int | None = None
    last_events: int | None = None
    streams: tuple[str, ...] = ()
    everything: bool = False

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise WhizbangError(f"{problem}.")

    def _problem(self) -> str:
        # A position 0 is given, although 0 == False.
        given = [n for n, v in asdict(self).items() if not (v is None or v is False or v == ())]
        if not given:
            return (
                "Say which events: since, before, last_days, after, until, last_events, streams or "
                "everything"
            )
        if self.everything and len(given) > 1:
            return "everything leaves nothing to choose: leave out the rest"
        if self.last_days is not None and (self.since is not None or self.last_days <= 0):
            return "last_days is a number above 0 that stands in place of since"
        if any(_is_out_of_time(value) for value in (self.since, self.before)):
            return "Dates begin on 0001-01-02 and end on 9999-12-30"
        if self.last_days is not None and not self.last_days <= _MOST_DAYS:
            return f"last_days is {_MOST_DAYS:,} at most: say everything where all of it is meant"
        if self.last_events is not None and (self.after is not None or self.last_events < 1):
            return "last_events is a number above 0 that stands in place of after"
        if len(self.streams) > _MOST_STREAMS:
            return f"{len(self.streams)} streams are too many: give {_MOST_STREAMS} at most"
        if any(value is not None and value < 0 for value in (self.after, self.until)):
            return "Positions begin at 0"
        return ""


def _is_out_of_time(value: datetime | date | None) -> bool:
    """Near the ends of the calendar an instant has no form in other time zones, which databases ask for."""
    day = value.date() if isinstance(value, datetime) else value
    return day is not None and (day <= date.min or day >= date.max)


@dataclass(frozen=True, slots=True)
class Section:
    """A scope that is fixed: the events with after < position <= until that a filter lets pass."""

    after: int
    until: int
    filter: LogFilter

    def read(self, store: EventStore, *, limit: int | None) -> list[StoredRow]:
        rows = store.driver.read_log(
            after=self.after, until=self.until, limit=limit, filter=self.filter
        )
        return list(rows)

    def count(self, store: EventStore) -> int:
        return store.driver.count_log(after=self.after, until=self.until, filter=self.filter)

    def from_position(self, position: int) -> Section:
        """What is left of it behind a position."""
        return replace(self, after=position)


def fix_scope(
    store: EventStore, scope: Scope, *, types: Iterable[str] | None, until: int
) -> Section:
    """The scope as it is now, for a reader of these stored types that has come to `until`."""
    since = as_instant(scope.since)
    if scope.last_days is not None:
        since = database_now(store.using) - timedelta(days=scope.last_days)
    filter = LogFilter(
        types=None if types is None else sorted(types),
        streams=list(scope.streams) or None,
        since=since,
        before=as_instant(scope.before),
    )
    end = until if scope.until is None else min(until, scope.until)
    after = min(scope.after or 0, end)
    if scope.last_events is not None:
        after = _before_last(store, scope.last_events, until=end, filter=filter)
    return Section(after, end, filter)


def _before_last(store: EventStore, count: int, *, until: int, filter: LogFilter) -> int:
    """The position behind which the last `count` events stand: by counts of ever larger windows."""
    high, left, size = until, count, max(_FIRST_WINDOW, count)
    while high > 0:
        low = max(0, high - size)
        found = store.driver.count_log(after=low, until=high, filter=filter)
        if found >= left:
            rows = store.driver.read_log(
                after=low, until=high, limit=found - left + 1, filter=filter
            )
            first = next(islice(rows, found - left, None))
            return first.position - 1
        high, left, size = low, left - found, size * 2
    return 0


def section_to_plain(section: Section) -> dict[str, Any]:
    """What a run remembers of its section besides its positions; without the types, which are the code's."""
    filter = section.filter
    return {
        "since": None if filter.since is None else filter.since.isoformat(),
        "before": None if filter.before is None else filter.before.isoformat(),
        "streams": None if filter.streams is None else list(filter.streams),
    }


def section_from_plain(
    plain: dict[str, Any], *, after: int, until: int, types: Iterable[str] | None
) -> Section:
    since, before = plain["since"], plain["before"]
    filter = LogFilter(
        types=None if types is None else sorted(types),
        streams=plain["streams"],
        since=None if since is None else datetime.fromisoformat(since),
        before=None if before is None else datetime.fromisoformat(before),
    )
    return Section(after, until, filter)
