"""Is the log whole: no holes, no disorder, nothing unreadable, nothing unprotected?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.db import connections
from django.db.models import Exists, Min, OuterRef

from whizbang.drivers.stores.base import StoredRow
from whizbang.drivers.stores.protection import missing_triggers
from whizbang.models import ParkedStream, Partition, StoredEvent, Stream
from whizbang.operations.findings import Report
from whizbang.operations.history import open_changes
from whizbang.operations.verify_history import Progress
from whizbang.operations.verify_index import IndexCheck
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.catalogue import CatalogueSubscription

_PAGE_ROWS = 1000


def verify_integrity(*, store: str = "default", progress: Progress | None = None) -> Report:
    """Check every stream, its entry in the catalogue, those of its events in the index, and what protects the log.

    Versions count from 1 without holes, positions ascend with them, payloads and metadata are
    readable, catalogue and index agree with the log as far as they have read it. Writers may go on meanwhile.
    Writes nothing; memory stays bounded.
    """
    found = event_store(store)
    report = Report()
    catalogue = _Catalogue(found)
    index = IndexCheck(found, report)
    checker = _Checker(found, report, catalogue, index)
    for page in _pages(found.driver.read_by_stream()):
        catalogue.look_up(page)
        index.look_up(page)
        for row in page:
            checker.check(row)
        if progress is not None:
            progress(report.events)
    checker.end_stream()
    _check_strays(found, report)
    _check_protection(found, report)
    return report


def _pages(rows: Iterator[StoredRow]) -> Iterator[list[StoredRow]]:
    while page := list(islice(rows, _PAGE_ROWS)):
        yield page


class _Catalogue:
    """Entries of the streams of one page, and how far the catalogue had read before the check."""

    def __init__(self, store: EventStore) -> None:
        self._using = store.using
        name = CatalogueSubscription(store).name
        rows = Partition.objects.using(self._using).filter(subscription=name)
        self.position = rows.aggregate(least=Min("position"))["least"] or 0
        parked = ParkedStream.objects.using(self._using).filter(subscription=name)
        self.parked = set(parked.values_list("stream", flat=True))
        self._entries: dict[str, Stream] = {}

    def look_up(self, page: Iterable[StoredRow]) -> None:
        names = {row.stream for row in page}
        kept = {name: entry for name, entry in self._entries.items() if name in names}
        rows = Stream.objects.using(self._using)
        self._entries = rows.in_bulk(names - kept.keys()) | kept

    def entry(self, stream: str) -> Stream | None:
        return self._entries.get(stream)


class _Checker:
    """Takes events stream by stream and remembers the one before."""

    def __init__(
        self, store: EventStore, report: Report, catalogue: _Catalogue, index: IndexCheck
    ) -> None:
        self._store, self._report = store, report
        self._catalogue, self._index = catalogue, index
        self._before: StoredRow | None = None
        self._entry: Stream | None = None
        self._due = 0  # version that the catalogue must have reached

    def check(self, row: StoredRow) -> None:
        self._report.events += 1
        if self._before is None or self._before.stream != row.stream:
            self.end_stream()
            self._begin(row)
        self._check_place(row)
        self._check_documents(row)
        if row.position <= self._catalogue.position:
            self._due = row.version
        if self._entry is not None and self._entry.version == row.version:
            self._check_entry(row, self._entry)
        self._before = row

    def _begin(self, row: StoredRow) -> None:
        self._report.streams += 1
        self._entry = self._catalogue.entry(row.stream)
        self._before, self._due = None, 0

    def _check_place(self, row: StoredRow) -> None:
        before = self._before
        expected = 1 if before is None else before.version + 1
        if row.version != expected:
            text = f"Version {row.version} follows where {expected} should be."
            self._report.add("hole", row, text, by_type=False)
        if before is not None and row.position <= before.position:
            text = f"Position {row.position} is not above {before.position} of the version before."
            self._report.add("order", row, text, by_type=False)

    def _check_documents(self, row: StoredRow) -> None:
        try:
            self._store.serializer.decode_plain(row.payload)
        except Exception as exc:
            self._report.add("payload", row, exc)
        try:
            meta = self._store.decode_metadata(row)
        except Exception as exc:
            self._report.add("metadata", row, exc)
        else:
            self._index.check(row, meta)

    def _check_entry(self, row: StoredRow, entry: Stream) -> None:
        if (entry.last_position, entry.last_type) != (row.position, row.type):
            text = (
                f"The catalogue has {entry.last_type} at position {entry.last_position} as version "
                f"{entry.version}, the log {row.type} at {row.position}."
            )
            self._report.add("catalogue", row, text, by_type=False)

    def end_stream(self) -> None:
        last = self._before
        if last is None or last.stream in self._catalogue.parked:
            return
        reached = 0 if self._entry is None else self._entry.version
        if reached < self._due:
            text = f"The catalogue stands at version {reached}, and has read version {self._due}."
            self._report.add_fact("catalogue", text, stream=last.stream)
        # It may have grown since its page was read.
        elif reached > last.version and reached > self._store.driver.stream_version(last.stream):
            text = f"The catalogue stands at version {reached}, the stream at {last.version}."
            self._report.add_fact("catalogue", text, stream=last.stream)


def _check_strays(store: EventStore, report: Report) -> None:
    events = StoredEvent.objects.using(store.using).filter(stream=OuterRef("name"))
    strays: Any = Stream.objects.using(store.using).filter(~Exists(events)).order_by("name")
    for name in strays.values_list("name", flat=True).iterator(chunk_size=_PAGE_ROWS):
        report.add_fact("catalogue", "The stream has no events.", stream=name)


def _check_protection(store: EventStore, report: Report) -> None:
    missing = missing_triggers(connections[store.using])
    if missing:
        text = f"Triggers are missing or disabled: {', '.join(missing)}. Run manage.py migrate."
        report.add_fact("protection", text)
    for change in open_changes(store.using):
        text = f"Change of history {change.pk} ({change}) was left open: set its open_in to NULL."
        report.add_fact("protection", text)
