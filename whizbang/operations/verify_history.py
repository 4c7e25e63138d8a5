"""Does everything that was ever recorded still mean something to today's code?"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from whizbang.domain import aggregate
from whizbang.drivers.stores.base import LogFilter, StoredRow
from whizbang.exceptions import UnknownMessageType, WhizbangError
from whizbang.models import EventType
from whizbang.operations.findings import Report
from whizbang.store.event_store import EventStore, event_store, names_of

Progress = Callable[[int], None]


def verify_history(
    *,
    store: str = "default",
    sample: int | None = None,
    seed: int | None = None,
    types: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Decode every event with today's classes and upcasters, and fold every aggregate.

    `sample` looks at that many streams, chosen at random (again the same with the report's `seed`),
    and at the first stream of each type. `types` decodes the events of these types alone and folds
    nothing. Writes nothing; memory stays bounded. Raises `UnknownMessageType` for a type in `types`
    that is not declared.
    """
    found = event_store(store)
    report = Report()
    if types is not None:
        rows = _of_types(found, types)
    elif sample is not None:
        report.seed = random.randrange(2**32) if seed is None else seed
        rows = _of_sample(found, sample, random.Random(report.seed))
    else:
        rows = found.driver.read_by_stream()
    checker = _Checker(found, report, folds=types is None)
    for row in rows:
        checker.check(row)
        if progress is not None and report.events % 1000 == 0:
            progress(report.events)
    return report


def _of_types(store: EventStore, types: Iterable[str]) -> Iterator[StoredRow]:
    wanted = LogFilter(types=names_of(types))
    return store.driver.read_log(after=0, until=store.head(), limit=None, filter=wanted)


def _of_sample(store: EventStore, count: int, chance: random.Random) -> Iterator[StoredRow]:
    head = store.head()
    firsts = EventType.objects.using(store.using).order_by("name")
    chosen: dict[str, None] = {}
    for position in firsts.values_list("first_position", flat=True):
        _choose(store, position, head, chosen)
    # By position, so that long streams, which hold most of the past, come up more often.
    for _ in range(count if head else 0):
        _choose(store, chance.randint(1, head), head, chosen)
    for stream in chosen:
        yield from store.driver.read_stream(stream)


def _choose(store: EventStore, position: int, head: int, chosen: dict[str, None]) -> None:
    row = next(store.driver.read_log(after=position - 1, until=head, limit=1), None)
    if row is not None:
        chosen[row.stream] = None


class _Checker:
    """Takes events stream by stream and holds the aggregate of the one that it is in."""

    def __init__(self, store: EventStore, report: Report, *, folds: bool) -> None:
        self._store, self._report, self._folds = store, report, folds
        self._classes = {cls._category(): cls for cls in aggregate.declared}
        self._stream: str | None = None
        self._aggregate: Any = None

    def check(self, row: StoredRow) -> None:
        self._report.events += 1
        if self._folds and row.stream != self._stream:
            self._begin(row.stream)
        try:
            self._store.decode_metadata(row)
        except Exception as exc:
            self._report.add("metadata", row, exc)
        try:
            events = self._store.decode_events(row)
        except UnknownMessageType as exc:
            self._give_up("unknown type", row, exc)
        except Exception as exc:  # an upcaster may raise anything
            self._give_up("payload", row, exc)
        else:
            for event in events:
                self._fold(row, event)

    def _begin(self, stream: str) -> None:
        self._stream = stream
        self._report.streams += 1
        category, _, id = stream.partition("-")
        cls = self._classes.get(category)
        self._aggregate = None if cls is None else cls(id)
        self._report.aggregates += cls is not None

    def _fold(self, row: StoredRow, event: Any) -> None:
        if self._aggregate is None:
            return
        try:
            self._aggregate._check_known(event)
        except WhizbangError as exc:
            self._report.add("unapplied", row, exc)
            return
        try:
            self._aggregate._apply(event)
        except Exception as exc:  # an applier is the application's code
            self._give_up("state", row, f"{type(exc).__name__}: {exc}")

    def _give_up(self, kind: str, row: StoredRow, error: object) -> None:
        """What later events of the stream do to a state that lacks this one says nothing."""
        self._report.add(kind, row, error)
        self._aggregate = None
