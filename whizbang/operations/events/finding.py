"""Events by message id, correlation id, type, user and time, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Min

from whizbang.models import EventEntry, Partition
from whizbang.operations.events.facts import EventFacts, events_at, events_between
from whizbang.operations.events.positions import last_position_before
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.event_index import MOST_USER, EventIndexSubscription

PAGE_EVENTS = 50
MOST_LOOKED_AT = 5_000  # entries a page, where more than one thing is asked for
MOST_UNINDEXED = 500  # events that the index has not read yet
_END = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """What events are wanted; what is given holds together. since <= recorded_at < before."""

    message_id: UUID | None = None
    correlation_id: UUID | None = None
    type: str = ""
    user: str = ""
    since: datetime | None = None
    before: datetime | None = None

    @property
    def conditions(self) -> dict[str, Any]:
        """On entries of the index, the one that leaves the fewest first."""
        named = {name: getattr(self, name) for name in _INDEXED}
        named["user"] = self.user[:MOST_USER]  # as much as the index has of it
        return {name: value for name, value in named.items() if value}

    def takes(self, event: EventFacts) -> bool:
        """Is this one wanted?"""
        if self.since is not None and event.recorded_at < self.since:
            return False
        if self.before is not None and event.recorded_at >= self.before:
            return False
        said = {name: getattr(event, name) for name in _INDEXED} | {"user": event.user[:MOST_USER]}
        return all(said[name] == value for name, value in self.conditions.items())


_INDEXED = ("message_id", "correlation_id", "user", "type")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEvents:
    """One page, the newest first. `older_than` and `newer_than` ask for the pages beside it; None where there is
    none. `is_cut`: so much was looked at that the page may be short; going on finds the rest.
    """

    events: list[EventFacts]
    older_than: int | None
    newer_than: int | None
    is_cut: bool = False
    unindexed: bool = False  # the index lags by more than is looked at without it


class _Scan(NamedTuple):
    positions: list[int]
    goes_on_at: int | None  # a position, where there may be more behind it


def find_events(
    query: EventQuery,
    *,
    store: EventStore,
    older_than: int | None = None,
    newer_than: int | None = None,
    limit: int = PAGE_EVENTS,
) -> FoundEvents:
    """At most `limit` events, the newest first, older than a position; or the oldest of those that are newer.

    Bounded in what it reads, however long the log. What the index has not read yet is looked for in the log
    itself, up to a bound.
    """
    low, high = _range_of(query, store.using)
    if newer_than is not None:
        low = max(low, newer_than)
    elif older_than is not None:
        high = min(high, older_than - 1)
    is_ascending = newer_than is not None
    indexed = index_position(store)
    scan = _scan(query, low, min(high, indexed), store.using, limit, is_ascending=is_ascending)
    tail = events_between(
        max(low, indexed), min(high, _END), limit=MOST_UNINDEXED + 1, using=store.using
    )
    positions = [*scan.positions, *(e.position for e in tail[:MOST_UNINDEXED] if query.takes(e))]
    positions.sort(reverse=not is_ascending)
    has_more = len(positions) > limit
    chosen = positions[:limit]
    goes_on_at = chosen[-1] if has_more else scan.goes_on_at
    known = events_at(chosen, using=store.using)
    events = [known[at] for at in sorted(chosen, reverse=True) if at in known]
    events = [event for event in events if query.takes(event)]
    edge = max(chosen, default=None) if not is_ascending else min(chosen, default=None)
    is_first = older_than is None and newer_than is None
    back = None if is_first else (edge if edge is not None else (newer_than or older_than))
    return FoundEvents(
        events=events,
        older_than=back if is_ascending else goes_on_at,
        newer_than=goes_on_at if is_ascending else back,
        is_cut=not has_more and scan.goes_on_at is not None,
        unindexed=len(tail) > MOST_UNINDEXED,
    )


def index_position(store: EventStore) -> int:
    """Up to where the index has read the log; 0 when it has not begun."""
    name = EventIndexSubscription(store).name
    rows = Partition.objects.using(store.using).filter(subscription=name)
    return rows.aggregate(least=Min("position"))["least"] or 0


def _range_of(query: EventQuery, using: str) -> tuple[int, int]:
    """low < position <= high"""
    low = 0 if query.since is None else last_position_before(query.since, using=using)
    high = _END if query.before is None else last_position_before(query.before, using=using)
    return low, high


def _scan(
    query: EventQuery, low: int, high: int, using: str, limit: int, *, is_ascending: bool
) -> _Scan:
    """Positions from the index, one more than the limit where there are so many."""
    if high <= low:
        return _Scan([], None)
    (first, *others) = [*query.conditions.items()] or [("", None)]
    rows = EventEntry.objects.using(using).filter(position__gt=low, position__lte=high)
    rows = rows.filter(**{first[0]: first[1]}) if first[0] else rows
    rows = rows.order_by("position" if is_ascending else "-position")
    if not others:
        return _Scan(list(rows.values_list("position", flat=True)[: limit + 1]), None)
    names = [name for name, _ in others]
    wanted = tuple(value for _, value in others)
    seen, found = 0, []
    for position, *values in rows.values_list("position", *names)[:MOST_LOOKED_AT]:
        seen += 1
        if tuple(values) == wanted:
            found.append(position)
            if len(found) > limit:
                return _Scan(found, None)
    return _Scan(found, position if seen == MOST_LOOKED_AT else None)
