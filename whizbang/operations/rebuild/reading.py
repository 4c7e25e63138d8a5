"""History as a rebuild reads it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import chain

from whizbang.drivers.stores.base import RawRow, StoredRow
from whizbang.exceptions import DecodeError, UnknownMessageType
from whizbang.projections.failing import FailingEvent, failing_event, mark_failing
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import Recorded
from whizbang.subscriptions.edits import apply_edits, has_any_edit
from whizbang.subscriptions.partitioning import WHOLE, SliceRange

Poisoned = dict[str, tuple[FailingEvent, Exception]]  # by stream: the event that failed first
Report = Callable[[int, int], None]  # how many events, and up to which position

_REPORT_EVENTS = 10_000  # between two reports
MOST_POISONED = 20  # streams that a rebuild may leave out; each costs another fold


class History:
    """The wanted events in order, without what comes after a stream's first event that failed."""

    def __init__(
        self, definition: ProjectionSubscription, poisoned: Poisoned, report: Report
    ) -> None:
        self._definition, self._poisoned, self._report = definition, poisoned, report
        self._page: Sequence[RawRow] = ()  # whose events are being decoded
        self.count = 0

    def read(
        self, after: int, until: int, *, part: SliceRange = WHOLE
    ) -> Generator[Recorded, None, None]:
        """Typed events of the positions after < p <= until. Whoever folds marks an error of its own.

        An event that is read as several may bring some that nobody wants. Close it, or read it to its end.
        """
        store = self._definition.store
        wanted = self._definition.wanted(part)
        pages = store.driver.read_pages(after=after, until=until, filter=wanted)
        with closing(pages):
            try:
                yield from store.typed(chain.from_iterable(self._pass(pages)))
            except (DecodeError, UnknownMessageType) as exc:
                self._mark_undecodable(exc)
                raise

    def _pass(self, pages: Iterator[Sequence[RawRow]]) -> Iterator[Sequence[RawRow]]:
        """Pages without what is left out, counted once they are applied."""
        reported = 0
        has_edits = has_any_edit(self._definition.edits_name, using=self._definition.using)
        for page in pages:
            self._page = self._without_poison(page) if self._poisoned else page
            if has_edits:
                self._page = self._with_edits(self._page)
            yield self._page
            self.count += len(self._page)
            if self.count - reported >= _REPORT_EVENTS:
                reported = self.count
                self._report(self.count, page[-1][0])

    def _without_poison(self, page: Sequence[RawRow]) -> list[RawRow]:
        return [row for row in page if not self._is_left_out(row)]

    def _with_edits(self, page: Sequence[RawRow]) -> list[RawRow]:
        """Edited copies in place of their originals, as they are applied live."""
        definition = self._definition
        rows = map(StoredRow._make, page)
        return list(apply_edits(definition.edits_name, rows, using=definition.using))

    def _is_left_out(self, row: RawRow) -> bool:
        position, stream, *_ = row
        poison = self._poisoned.get(stream)
        return poison is not None and position >= poison[0].position

    def _mark_undecodable(self, error: Exception) -> None:
        """Name the first event of the page that does not decode: the one that was being read."""
        store = self._definition.store
        for row in map(StoredRow._make, self._page):
            try:
                store.decode_events(row)
            except (DecodeError, UnknownMessageType):
                mark_failing(error, store.decode_metadata(row))
                return


def note_poison(poisoned: Poisoned, error: Exception) -> FailingEvent | None:
    """Add the event that an error speaks of; None where the error is nobody's, or too many have failed."""
    event = failing_event(error)
    if event is None or event.stream in poisoned or len(poisoned) >= MOST_POISONED:
        return None
    poisoned[event.stream] = (event, error)
    return event
