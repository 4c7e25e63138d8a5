"""Runs one partition of a subscription: batches, checkpoint, parking."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from whizbang.drivers.errors import is_lost, is_passing
from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import ConcurrencyError, WhizbangError
from whizbang.models import ParkedStream, Partition, Subscription
from whizbang.subscriptions.applying import Applier, StreamApplier
from whizbang.subscriptions.applying_keys import KeyApplier
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.identity import store_identity
from whizbang.subscriptions.pace import Pace
from whizbang.subscriptions.partitioning import BY_KEY, WHOLE, SliceRange, lease_name

logger = logging.getLogger(__name__)
_IDLE_CHECKPOINT_SECONDS = 1.0
_MOST_PASSING_FAILURES = 20
_NO_END = 2**63 - 1
_MOST_BYTES = 16 * 1024 * 1024  # of what is read ahead


class StaleLease(WhizbangError):
    """Another worker has taken the subscription over; nothing was written."""


class Misplaced(WhizbangError):
    """A checkpoint means something else than the code would take it for; nothing may be applied."""


class StoreReplaced(Misplaced):
    """The log is not the one that a checkpoint counts in."""


class SplitOtherwise(Misplaced):
    """Partitions stand apart that are split by something else than the code declares."""


class SubscriptionRunner:
    """Applies events to one partition, fenced by an epoch. Not shared between threads."""

    def __init__(self, definition: SubscriptionDefinition, slices: SliceRange = WHOLE) -> None:
        self.definition = definition
        self.slices = slices
        self.lease = lease_name(definition.name, slices)
        self.lease_epoch = -1  # under which it was taken over
        self.position = 0
        self.epoch = -1  # of the checkpoint, while this runner is the one that may move it
        self.is_active = False
        self._applier = self._make_applier()
        self._pace = Pace()
        self._moved_at = 0.0
        self._failing_position = -1
        self._failures = 0
        self._stored_position = -1
        self._error = ""

    @property
    def is_waiting(self) -> bool:
        """Does it wait for its next attempt, because what it writes to is down?"""
        return False

    def _make_applier(self) -> Applier:
        by_key = self.definition.partition_by == BY_KEY
        return (KeyApplier if by_key else StreamApplier)(self.definition, self.slices)

    def take_over(self, lease_epoch: int) -> None:
        """Fence older workers off the checkpoint and read where it stands.

        Raises `StaleLease` where the partitions are others by now, and `Misplaced`.
        """
        self.lease_epoch = lease_epoch
        with transaction.atomic(using=self.definition.using):
            self._rows().update(epoch=F("epoch") + 1)
            row, state = self._rows().first(), self._states().first()
        if row is None or state is None or row.end_slice != self.slices.end:
            raise StaleLease(f"{self} was split, merged or deleted.")
        self._check_store(state, row)
        self._check_partitioning(row)
        self.stand_at(row)
        self.is_active = state.status == Subscription.Status.ACTIVE

    def stand_at(self, row: Partition) -> None:
        """Go on from a checkpoint, as the one who may move it."""
        self.epoch = row.epoch
        self.position = self._stored_position = row.position
        self._error = ""

    def give_up(self) -> None:
        """Leave the checkpoint to others."""
        self.epoch = self.lease_epoch = -1

    def _check_store(self, state: Subscription, row: Partition) -> None:
        """Positions of another store mean nothing in this one."""
        identity = store_identity(self.definition.store)
        if state.store_id != identity.store_id:
            raise StoreReplaced(
                f"Subscription {state.name!r} stands at position {row.position} of another store (it was "
                "restored or replaced): rebuild it, or delete its row to begin anew."
            )
        if row.position and not self._has_event_from(row.position):
            raise StoreReplaced(
                f"Subscription {state.name!r} stands at position {row.position}, beyond the end of the log "
                "(an older backup was restored?): rebuild it, or delete its row to begin anew."
            )

    def _has_event_from(self, position: int) -> bool:
        driver = self.definition.store.driver
        rows = driver.read_log(after=position - 1, until=_NO_END, limit=1)
        return next(iter(rows), None) is not None

    def _check_partitioning(self, row: Partition) -> None:
        problem = split_problem(self.definition, row) or parking_problem(self.definition)
        if problem:
            raise SplitOtherwise(problem)

    def refresh(self, state: Subscription, row: Partition) -> None:
        """See how it stands: an operator may have paused it, a rebuild may have moved it."""
        if row.epoch != self.epoch:
            raise StaleLease(f"{self} was taken over.")
        if row.position != self._stored_position:
            self.position = self._stored_position = row.position
        self.is_active = state.status == Subscription.Status.ACTIVE

    def stop_with(self, error: str) -> None:
        """Stand still with an error that status shows, until an operator decides."""
        self.is_active = False
        if error != self._error:
            self._error = error
            self._states().update(error=error)
            logger.error("Subscription stopped error=%s", error)

    def run(self, rows: Sequence[StoredRow], upto: int) -> int:
        """Apply the wanted ones among `rows` and move the checkpoint to `upto`; gives their number.

        A large batch that fails is left where it was, to be tried again in smaller ones.
        """
        wanted = self._wanted(rows)
        if not wanted:
            self._move_idle(upto)
            return 0
        started = time.monotonic()
        try:
            self._apply(wanted, upto)
        except StaleLease:
            raise
        except Exception as exc:
            if is_passing(exc, using=self.definition.using) and not self._is_tired(wanted[0]):
                raise
            if self._pace.begin_anew():
                return 0
            logger.info(
                "Subscription batch failed, going event by event subscription=%s",
                self.definition.name,
            )
            self._apply_one_by_one(wanted, upto)
        self.position = self._stored_position = upto
        self._moved_at = time.monotonic()
        self._pace.note(len(wanted), self._moved_at - started)
        return len(wanted)

    def go_on(self) -> int | None:
        """Go on with what run() has begun and not ended; None when it is ready for more rows."""
        return None

    def _wanted(self, rows: Sequence[StoredRow]) -> list[StoredRow]:
        applier = self._applier
        return [
            row
            for row in rows
            if row.position > self.position and applier.is_wanted(row) and applier.is_mine(row)
        ]

    def retry_parked(self) -> int:
        """Apply the events that are parked and that somebody asked to retry, in order."""
        requested = ParkedStream.objects.using(self.definition.using).filter(
            subscription=self.definition.name, is_retry_requested=True
        )
        return sum(self._retry(parked) for parked in requested if self._applier.owns(parked))

    def _apply(self, wanted: Sequence[StoredRow], upto: int) -> None:
        with transaction.atomic(using=self.definition.using):
            self._move(upto)
            self._applier.apply(wanted)

    def _apply_one_by_one(self, wanted: Sequence[StoredRow], upto: int) -> None:
        with transaction.atomic(using=self.definition.using):
            self._move(upto)
            self._applier.apply_one_by_one(wanted, self._try)

    def _retry(self, parked: ParkedStream) -> int:
        with transaction.atomic(using=self.definition.using):
            self._move(self._stored_position)
            return self._applier.retry(parked, self._stored_position, self._try)

    def _try(self, row: StoredRow, action: Callable[[], Any]) -> Exception | None:
        """Do something for one event under a savepoint; gives the error that parks it."""
        using = self.definition.using
        try:
            with transaction.atomic(using=using):
                action()
        except StaleLease:
            raise
        except Exception as exc:
            is_rivalry = isinstance(exc, ConcurrencyError) or is_passing(exc, using=using)
            if is_rivalry and not self._is_tired(row):
                raise  # probably not the event's fault: the batch is tried again
            logger.exception(
                "Event parked subscription=%s stream=%s position=%s",
                self.definition.name,
                row.stream,
                row.position,
            )
            return exc
        return None

    def _is_tired(self, row: StoredRow) -> bool:
        """Has this event failed so often for passing reasons that it is the event's fault after all?"""
        if is_lost(self.definition.using):
            return False
        if self._failing_position != row.position:
            self._failing_position, self._failures = row.position, 0
        self._failures += 1
        return self._failures > _MOST_PASSING_FAILURES

    def _move(self, upto: int) -> None:
        changed = (
            self._rows()
            .filter(position=self._stored_position, epoch=self.epoch)
            .update(position=upto, updated_at=Now())
        )
        if not changed:
            raise StaleLease(f"{self} was moved by another worker or operator.")

    def _move_idle(self, upto: int) -> None:
        """Nothing to apply: the checkpoint need not move more than once a second."""
        self.position = upto
        self.settle_at_leisure()

    def settle_at_leisure(self) -> None:
        """See settle(); does it once a second at most. To be called also while nothing new comes."""
        if time.monotonic() - self._moved_at > _IDLE_CHECKPOINT_SECONDS:
            self.settle()

    def settle(self) -> None:
        """Store a position that is ahead of the checkpoint."""
        if self.position != self._stored_position:
            self._move(self.position)
            self._stored_position = self.position
            self._moved_at = time.monotonic()

    def read_ahead(self, *, until: int) -> tuple[list[StoredRow], int]:
        """The next wanted rows straight from the store, for a partition that lags behind, and up to which
        position there are no more than these; `until` when they are the last.
        """
        found: list[StoredRow] = []
        limit, size = self._pace.events, 0
        for row in self.definition.store.driver.read_log(
            after=self.position,
            until=until,
            limit=limit,
            filter=self.definition.wanted(self.slices),
        ):
            found.append(row)
            size += row.size
            if len(found) == limit or size > _MOST_BYTES:
                return found, row.position
        return found, until

    def _rows(self) -> Any:
        rows = Partition.objects.using(self.definition.using)
        return rows.filter(subscription=self.definition.name, first_slice=self.slices.first)

    def _states(self) -> Any:
        return Subscription.objects.using(self.definition.using).filter(name=self.definition.name)

    def __str__(self) -> str:
        return f"Subscription {self.lease!r}"


def split_problem(definition: SubscriptionDefinition, row: Partition) -> str:
    """Why a partition cannot be run as it is declared; empty where it can."""
    is_whole = (row.first_slice, row.end_slice) == (WHOLE.first, WHOLE.end)
    if is_whole or row.split_by == definition.partition_by:
        return ""
    return (
        f"Subscription {definition.name!r} is split by {row.split_by}, and its code says partition_by = "
        f"{definition.partition_by!r}: merge its partitions with the code that split them, or rebuild it."
    )


def parking_problem(definition: SubscriptionDefinition) -> str:
    """Why what is parked cannot be retried as the subscription is declared; empty where it can."""
    if definition.partition_by == BY_KEY:
        return ""
    rows = ParkedStream.objects.using(definition.using).filter(subscription=definition.name)
    if not rows.exclude(unit="stream", first_slice=WHOLE.first, end_slice=WHOLE.end).exists():
        return ""
    return (
        f"Subscription {definition.name!r} has keys parked, and its code does not say partition_by = "
        f"{BY_KEY!r} any more: retry them with the code that parked them, or rebuild it."
    )
