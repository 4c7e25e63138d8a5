"""Reading stored events again for one projection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import WhizbangError
from whizbang.projections.failing import mark_failing
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import Recorded
from whizbang.subscriptions.edits import apply_edits


def typed_events(
    definition: ProjectionSubscription, rows: Iterable[StoredRow]
) -> Iterator[Recorded]:
    """Rows in the log's order as the events that a projection wants, edited copies in place of theirs.

    An error names the event that cannot be read, see failing_event().
    """
    names, store = definition.type_names or frozenset(), definition.store
    wanted = (row for row in rows if row.type in names)
    for row in apply_edits(definition.name, wanted, using=definition.using):
        try:
            found = store.decode(row)
        except WhizbangError as exc:
            mark_failing(exc, store.decode_metadata(row))
            raise
        yield from (r for r in found if type(r.event) in definition.event_types)
