"""History as a rebuild reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from whizbang.drivers.stores.base import LogFilter, StoredRow
from whizbang.exceptions import DecodeError, UnknownMessageType
from whizbang.projections.failing import FailingEvent, failing_event, mark_failing
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import Recorded

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
        self._row: StoredRow | None = None  # that is being decoded
        self.count = 0

    def read(
        self, after: int, until: int, *, slices: Sequence[int] | None = None
    ) -> Iterator[Recorded]:
        """Typed events of the positions after < p <= until. Whoever folds marks an error of its own."""
        definition = self._definition
        store, wanted = definition.store, definition.event_types
        types = LogFilter(types=sorted(definition.type_names or ()), slices=slices)
        rows = store.driver.read_log(after=after, until=until, limit=None, filter=types)
        try:
            for recorded in store.typed(self._pass(rows)):
                if type(recorded.event) in wanted:
                    yield recorded
        except (DecodeError, UnknownMessageType) as exc:
            assert self._row is not None
            mark_failing(exc, store.decode_metadata(self._row))
            raise

    def _pass(self, rows: Iterable[StoredRow]) -> Iterator[StoredRow]:
        """Rows that are not left out, counted."""
        for row in rows:
            poison = self._poisoned.get(row.stream) if self._poisoned else None
            if poison is not None and row.position >= poison[0].position:
                continue
            self._row = row
            yield row
            self.count += 1
            if self.count % _REPORT_EVENTS == 0:
                self._report(self.count, row.position)


def note_poison(poisoned: Poisoned, error: Exception) -> FailingEvent | None:
    """Add the event that an error speaks of; None where the error is nobody's, or too many have failed."""
    event = failing_event(error)
    if event is None or event.stream in poisoned or len(poisoned) >= MOST_POISONED:
        return None
    poisoned[event.stream] = (event, error)
    return event
