"""Rebuilding without a table of its own: rows are replaced in the transaction that holds the live one still.

For projections in free form, columns that only the ORM can write, and databases where DDL would end the
transaction that is open.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import ExitStack, closing
from itertools import islice

from django.db import transaction

from whizbang.drivers.errors import is_conflict
from whizbang.models import ParkedStream, Subscription
from whizbang.operations.rebuild.reading import History, Poisoned, note_poison
from whizbang.operations.rebuild.watch import Watch
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import Recorded
from whizbang.subscriptions.checkpoint import hold_writers_still, move_all, park_everywhere
from whizbang.subscriptions.identity import store_identity

logger = logging.getLogger(__name__)
_MOST_CONFLICTS = 5  # that end a rebuild's transaction before it counts as failed
_CHUNK_EVENTS = 1000


def rebuild_in_place(definition: ProjectionSubscription, watch: Watch) -> Refilling:
    """Fold again without each stream that fails; an inline projection may not leave any out.

    Also after a deadlock or the like with those who write to the same rows.
    """
    poisoned: Poisoned = {}
    conflicts = 0
    while True:
        try:
            with ExitStack() as stack:
                refilling = Refilling(definition, watch, stack, poisoned)
                refilling.run()
            return refilling
        except Exception as exc:
            if is_conflict(exc) and conflicts < _MOST_CONFLICTS:
                conflicts += 1
                logger.info("Rebuild begins again projection=%s error=%s", definition.name, exc)
                continue
            if definition.kind == "inline" or note_poison(poisoned, exc) is None:
                raise
            logger.warning(
                "Rebuild leaves a stream out projection=%s error=%s", definition.name, exc
            )


class Refilling:
    """History up to the head without a lock, then the rest under it."""

    def __init__(
        self,
        definition: ProjectionSubscription,
        watch: Watch,
        stack: ExitStack,
        poisoned: Poisoned,
    ) -> None:
        self._definition, self._watch, self._stack = definition, watch, stack
        self._poisoned = poisoned
        self._history = History(definition, poisoned, self._report)
        self.head = 0
        self.row_count = 0

    @property
    def count(self) -> int:
        return self._history.count

    def run(self) -> None:
        definition = self._definition
        projection = definition.projection
        if hasattr(projection, "fold_all"):
            with closing(self._read()) as events:
                rows = projection.fold_all(events, using=definition.using)
            projection.replace_all(rows, using=definition.using)
            self.row_count = len(rows)
        else:
            self._lock()
            projection.clear()
            with closing(self._history.read(0, self.head)) as events:
                while chunk := list(islice(events, _CHUNK_EVENTS)):
                    projection.apply_batch(chunk, using=definition.using)
        self._finish()

    def _read(self) -> Generator[Recorded, None, None]:
        head = self._definition.store.head()
        self._watch.note(target=head)
        yield from self._history.read(0, head)
        self._lock()
        yield from self._history.read(head, self.head)

    def _lock(self) -> None:
        """From here on the live projection stands still, until the transaction ends."""
        definition = self._definition
        self._stack.enter_context(transaction.atomic(using=definition.using))
        hold_writers_still(definition)
        self.head = definition.store.head()

    def _report(self, events: int, position: int) -> None:
        if not self.head:  # under the lock nothing is told: nobody would see it
            self._watch.note(events=events, position=position)

    def _finish(self) -> None:
        """Move the checkpoint with the rows; what was parked is in the history, or parked anew."""
        definition = self._definition
        using = definition.using
        ParkedStream.objects.using(using).filter(subscription=definition.name).delete()
        for event, error in self._poisoned.values():
            park_everywhere(definition, event, error)
        move_all(definition, self.head)
        Subscription.objects.using(using).filter(name=definition.name).update(
            version=definition.version,
            fingerprint=definition.fingerprint,
            # The rows follow from this store now, whatever log they came from before.
            store_id=store_identity(definition.store).store_id,
            error="",
        )
