"""Waiting until projections have applied what was written: reading one's own write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from asgiref.sync import sync_to_async
from django.db import connections

from whizbang.exceptions import WaitTimeout, WrongMode
from whizbang.models import Partition
from whizbang.projections import declaration
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import EventStore, event_store
from whizbang.store.slices import slice_of
from whizbang.subscriptions.partitioning import BY_STREAM, WHOLE, SliceRange

if TYPE_CHECKING:
    from whizbang.domain.unit_of_work import PlacedEvent
    from whizbang.projections.free import Projection

_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.1

Wanted = type["Projection"] | Any  # a projection's class or its object


class Target(NamedTuple):
    """A projection, and the position that it has to reach; `slices`: where the partitions of these do."""

    definition: ProjectionSubscription
    position: int
    slices: frozenset[int] | None = None

    @property
    def name(self) -> str:
        return self.definition.name

    def is_reached(self) -> bool:
        """Is every event up to the position that the projection wants applied?"""
        if self._is_in_memory:
            standing = self.standing()
            return standing is not None and (
                standing >= self.position or self._wants_nothing_after(standing, WHOLE)
            )
        partitions = self._partitions()
        return bool(partitions) and all(
            row.position >= self.position or self._wants_nothing_after(row.position, _part(row))
            for row in partitions
        )

    def standing(self) -> int | None:
        """The lowest position of those checkpoints; None before a worker has made them.

        What is held in memory stands where this process has brought it.
        """
        if self._is_in_memory:
            applied: int | None = self.definition.projection.applied_position()
            return applied
        return min((row.position for row in self._partitions()), default=None)

    @property
    def _is_in_memory(self) -> bool:
        return not self.definition.projection.runs_in_worker

    def _partitions(self) -> list[Partition]:
        rows = Partition.objects.using(self.definition.using).filter(subscription=self.name)
        return [
            row
            for row in rows
            if self.slices is None
            or any(row.first_slice <= number < row.end_slice for number in self.slices)
        ]

    def _wants_nothing_after(self, standing: int, part: SliceRange) -> bool:
        """The checkpoint of a partition that is not concerned follows at leisure."""
        if self._has_wanted_after(standing, part):
            return False
        # Until the log is settled there, an open transaction can still bring one: look again after that.
        is_settled = self.definition.store.driver.settled_head() >= self.position
        return is_settled and not self._has_wanted_after(standing, part)

    def _has_wanted_after(self, standing: int, part: SliceRange) -> bool:
        wanted = self.definition.wanted(part)
        rows = self.definition.store.driver.read_log(
            after=standing, until=self.position, limit=1, filter=wanted
        )
        return next(iter(rows), None) is not None


def _part(row: Partition) -> SliceRange:
    return SliceRange(row.first_slice, row.end_slice)


def find_definitions(wanted: Iterable[Wanted], store: EventStore) -> list[ProjectionSubscription]:
    """What a worker runs for these projections; inline ones need no waiting and are left out.

    Raises TypeError for what is no declared projection.
    """
    found = []
    for item in wanted:
        projection = _object_of(item)
        if projection.delivery != "inline":
            _refuse_other_log(projection, store)
            found.append(ProjectionSubscription(store, projection))
    return found


def _refuse_other_log(projection: Any, store: EventStore) -> None:
    followed = getattr(projection, "store", store.alias)
    if followed != store.alias:
        raise WrongMode(
            f"{projection.name} follows the log of store {followed!r}, so it cannot be waited for with "
            f"positions of store {store.alias!r}."
        )


def _object_of(wanted: Wanted) -> Projection:
    for projection in declaration.instances():
        if wanted is projection or wanted is type(projection):
            return projection
    raise TypeError(
        f"{wanted!r} is no projection that runs here: name a class that derives from Projection or "
        "ModelProjection and is not abstract."
    )


def targets_at(projection: Wanted, position: int) -> list[Target]:
    """The projection's target for one position of the store that it follows; none for an inline one.

    Raises `WrongMode` inside an open transaction.
    """
    store = event_store(getattr(projection, "store", None))
    definitions = find_definitions([projection], store)
    for definition in definitions:
        refuse_open_transaction(definition.using, "wait_until()")
        refuse_open_transaction(store.using, "wait_until()")
    return [Target(definition, position) for definition in definitions]


def targets_of(
    definitions: Iterable[ProjectionSubscription], placed: Sequence[PlacedEvent]
) -> list[Target]:
    """How far each projection has to come to have applied these events; those that want none are left out."""
    targets = []
    for definition in definitions:
        wanted = [item for item in placed if type(item.event) in definition.event_types]
        if wanted:
            position = max(item.place.position for item in wanted)
            targets.append(Target(definition, position, _slices_of(definition, wanted)))
    return targets


def _slices_of(
    definition: ProjectionSubscription, placed: Sequence[PlacedEvent]
) -> frozenset[int] | None:
    """By stream, the partitions of other streams are not concerned; by key, all read every event."""
    if definition.partition_by != BY_STREAM:
        return None
    return frozenset(slice_of(item.stream) for item in placed)


def refuse_open_transaction(using: str, verb: str) -> None:
    """Raise `WrongMode` where nobody else could see yet what is waited for."""
    if connections[using].in_atomic_block:
        raise WrongMode(
            f"{verb} inside an open transaction would never end: a worker sees the events after the "
            "commit. Wait after the transaction; in a test call whizbang.testing.drain() instead."
        )


def wait_for(targets: Sequence[Target], *, timeout_seconds: float) -> None:
    """Wait until all are reached. Raises `WaitTimeout` that says where they stand."""
    if targets and asyncio._get_running_loop() is not None:
        raise WrongMode("wait_until() was called in a running event loop: use await_until().")
    for pause in _turns(targets, timeout_seconds):
        time.sleep(pause)


async def await_for(targets: Sequence[Target], *, timeout_seconds: float) -> None:
    """See wait_for()."""
    turns = _turns(targets, timeout_seconds)
    while (pause := await sync_to_async(_next_pause)(turns)) is not None:
        await asyncio.sleep(pause)


def _next_pause(turns: Iterator[float]) -> float | None:
    return next(turns, None)


def _turns(targets: Sequence[Target], timeout_seconds: float) -> Iterator[float]:
    """Pauses between two looks, until all are reached."""
    deadline = time.monotonic() + timeout_seconds
    pause, missing = _FIRST_PAUSE_SECONDS, list(targets)
    while missing := [target for target in missing if not target.is_reached()]:
        left = deadline - time.monotonic()
        if left <= 0:
            raise WaitTimeout(_story_of(missing))
        yield min(pause, left)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


def _story_of(missing: Sequence[Target]) -> str:
    parts = []
    for target in missing:
        standing = target.standing()
        where = "has not begun" if standing is None else f"stands at {standing}"
        parts.append(f"{target.name} {where} of {target.position}")
    return (
        f"{'; '.join(parts)}. The events are stored, and it goes on: is a worker running, is the "
        "projection paused or behind? See `manage.py whizbang status`."
    )
