"""External projections as readers of the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence, Set
from typing import Any

from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import SinkUnavailable
from whizbang.projections.drafts import Draft
from whizbang.projections.external import ExternalProjection, Step
from whizbang.projections.generations import first_generation, is_of
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.outside import (
    Contended,
    Failure,
    OutsideBatch,
    OutsideDefinition,
)
from whizbang.subscriptions.partitioning import WHOLE, SliceRange

logger = logging.getLogger(__name__)


class ExternalSubscription(ProjectionSubscription, OutsideDefinition):
    """Feeds one external projection; its checkpoint follows the sink's acknowledgement."""

    projection: ExternalProjection

    deliver = OutsideDefinition.deliver

    def batch(
        self,
        rows: Sequence[StoredRow],
        *,
        parked: Set[str],
        slices: SliceRange = WHOLE,
        is_late: bool = False,
    ) -> OutsideBatch:
        return ExternalBatch(self, rows, parked, is_late)


class ExternalBatch(OutsideBatch):
    """Folds events on top of the documents that the sink has, and writes them back."""

    def __init__(
        self,
        definition: ExternalSubscription,
        rows: Sequence[StoredRow],
        parked: Set[str],
        is_late: bool,
    ) -> None:
        self._definition, self._rows = definition, rows
        self._projection = definition.projection
        self._collection = self._projection.stored_as()
        self._parked, self._is_late = set(parked), is_late
        self._first = first_generation(definition.store)
        self._generation = ""
        self._drafts: dict[str, Draft] = {}
        self._steps = [(row, self._route(row)) for row in rows]

    def load(self) -> bool:
        sink = self._projection.open_sink()
        live = sink.live(self._collection)
        if live is None:
            return False
        if not is_of(live, self._definition.store):
            raise SinkUnavailable(
                sink.alias,
                f"collection {self._collection.name!r} was filled from another store. If nobody else uses "
                f"it, rebuild {self._definition.name}; else give the sink another prefix.",
            )
        keys = list(dict.fromkeys(k for _, steps in self._steps for k in _keys_of(steps)))
        found = sink.read(self._collection, keys, generation=live)
        self._generation = live
        self._drafts = {key: Draft(key, found.get(key)) for key in keys}
        return True

    def open(self) -> None:
        self._projection.open_sink().open(self._collection, self._first)

    def fold(self) -> Failure | None:
        for row, steps in self._steps:
            try:
                if isinstance(steps, Exception):
                    raise steps
                self._projection.fold(steps, self._drafts, is_late=self._is_late)
            except Exception as exc:
                return row, exc
        return None

    def save(self) -> None:
        changed = [d.document(self._parked) for d in self._drafts.values() if d.is_changed]
        if not changed:
            return
        sink = self._projection.open_sink()
        conflicts = sink.write(self._collection, self._generation, changed)
        if conflicts:
            raise Contended(
                f"Another writer has changed {len(conflicts)} documents of {self._collection.name!r}, such "
                f"as {min(conflicts)!r}: they are read again."
            )

    def note_saved(self) -> None:
        """The documents say themselves how far they are."""
        logger.debug("Documents written collection=%s", self._collection.name)

    def mark_applied(self) -> None:
        for row, steps in self._steps:
            for key in _keys_of(steps):
                draft = self._drafts[key]
                if draft.has(row.stream, row.position, is_late=False):
                    draft.note_late(row.stream, row.position)
        self._parked.update(row.stream for row in self._rows)

    def _route(self, row: StoredRow) -> list[Step] | Exception:
        """With which documents an event has to do; the error where it cannot be read or placed."""
        try:
            return self._projection.steps(self._definition.read([row]))
        except Exception as exc:
            return exc


def _keys_of(steps: list[Step] | Exception) -> list[str]:
    return [] if isinstance(steps, Exception) else list(dict.fromkeys(s[0] for s in steps))


def subscription_of(store: EventStore, projection: Any) -> ProjectionSubscription:
    """How a projection is fed."""
    if isinstance(projection, ExternalProjection):
        return ExternalSubscription(store, projection)
    return ProjectionSubscription(store, projection)
