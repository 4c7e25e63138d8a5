"""Runs one subscription: batches, checkpoint, parking."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from whizbang.drivers.errors import is_lost, is_passing
from whizbang.drivers.stores.base import LogFilter, StoredRow
from whizbang.exceptions import ConcurrencyError, WhizbangError
from whizbang.models import ParkedStream, Subscription
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.identity import store_identity
from whizbang.subscriptions.parking import park, park_again, parked_streams

logger = logging.getLogger(__name__)
_IDLE_CHECKPOINT_SECONDS = 1.0
_MOST_PASSING_FAILURES = 20
_NO_END = 2**63 - 1


class StaleLease(WhizbangError):
    """Another worker has taken the subscription over; nothing was written."""


class StoreReplaced(WhizbangError):
    """The log is not the one that a checkpoint counts in."""


class SubscriptionRunner:
    """Applies events to one subscription under a lease epoch. Not shared between threads."""

    def __init__(self, definition: SubscriptionDefinition) -> None:
        self.definition = definition
        self.position = 0
        self.epoch = -1
        self.is_active = False
        self._moved_at = 0.0
        self._failing_position = -1
        self._failures = 0
        self._stored_position = -1

    def take_over(self, epoch: int) -> None:
        """Fence older workers off the checkpoint and read where it stands."""
        rows = self._rows()
        rows.update(epoch=epoch)
        row = rows.get()
        self._check_store(row)
        self.epoch = epoch
        self.position = self._stored_position = row.position
        self.is_active = row.status == Subscription.Status.ACTIVE

    def _check_store(self, row: Subscription) -> None:
        """Positions of another store mean nothing in this one."""
        identity = store_identity(self.definition.store)
        if row.store_id != identity.store_id:
            raise StoreReplaced(
                f"Subscription {row.name!r} stands at position {row.position} of another store (it was "
                "restored or replaced): rebuild it, or delete its row to begin anew."
            )
        if row.position and not self._has_event_from(row.position):
            raise StoreReplaced(
                f"Subscription {row.name!r} stands at position {row.position}, beyond the end of the log "
                "(an older backup was restored?): rebuild it, or delete its row to begin anew."
            )

    def _has_event_from(self, position: int) -> bool:
        driver = self.definition.store.driver
        rows = driver.read_log(after=position - 1, until=_NO_END, limit=1)
        return next(iter(rows), None) is not None

    def refresh(self) -> None:
        """Read the state again: an operator may have paused it, a rebuild may have moved it."""
        row = self._rows().get()
        if row.epoch != self.epoch:
            raise StaleLease(f"Subscription {self.definition.name!r} was taken over.")
        if row.position != self._stored_position:
            self.position = self._stored_position = row.position
        self.is_active = row.status == Subscription.Status.ACTIVE

    def stop_with(self, error: str) -> None:
        """Stand still with an error that status shows, until an operator decides."""
        self._rows().update(error=error)
        self.is_active = False
        logger.error("Subscription stopped error=%s", error)

    def run(self, rows: Sequence[StoredRow], upto: int) -> int:
        """Apply the wanted ones among `rows` and move the checkpoint to `upto`; gives their number."""
        names = self.definition.type_names
        wanted = [
            r for r in rows if r.position > self.position and (names is None or r.type in names)
        ]
        if not wanted:
            self._move_idle(upto)
            return 0
        try:
            self._apply(wanted, upto)
        except StaleLease:
            raise
        except Exception as exc:
            if is_passing(exc, using=self.definition.using) and not self._is_tired(wanted[0]):
                raise
            logger.info(
                "Subscription batch failed, going event by event subscription=%s",
                self.definition.name,
            )
            self._apply_one_by_one(wanted, upto)
        self.position = self._stored_position = upto
        self._moved_at = time.monotonic()
        return len(wanted)

    def retry_parked(self) -> int:
        """Apply the events of parked streams that somebody asked to retry, in order."""
        using = self.definition.using
        requested = ParkedStream.objects.using(using).filter(
            subscription=self.definition.name, is_retry_requested=True
        )
        return sum(self._retry(parked) for parked in requested)

    def _apply(self, wanted: Sequence[StoredRow], upto: int) -> None:
        using = self.definition.using
        with transaction.atomic(using=using):
            self._move(upto)
            parked = parked_streams(self.definition.name, using=using)
            self.definition.deliver([r for r in wanted if r.stream not in parked])

    def _apply_one_by_one(self, wanted: Sequence[StoredRow], upto: int) -> None:
        using = self.definition.using
        with transaction.atomic(using=using):
            self._move(upto)
            parked = parked_streams(self.definition.name, using=using)
            for row in wanted:
                if row.stream in parked:
                    continue
                error = self._try(row)
                if error is not None:
                    park(self.definition.name, row, error, using=using)
                    parked.add(row.stream)

    def _try(self, row: StoredRow) -> Exception | None:
        """Apply one event under a savepoint; gives the error that parks its stream."""
        using = self.definition.using
        try:
            with transaction.atomic(using=using):
                self.definition.deliver([row])
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

    def _retry(self, parked: ParkedStream) -> int:
        using = self.definition.using
        store = self.definition.store
        applied = 0
        with transaction.atomic(using=using):
            self._move(self._stored_position)
            rows = store.driver.read_stream(parked.stream, after=parked.version - 1)
            names = self.definition.type_names
            for row in rows:
                if row.position > self._stored_position:
                    break
                if names is not None and row.type not in names:
                    continue
                error = self._try(row)
                if error is not None:
                    park_again(parked, row, error, using=using)
                    return applied
                applied += 1
            ParkedStream.objects.using(using).filter(pk=parked.pk).delete()
        return applied

    def _move(self, upto: int) -> None:
        changed = (
            self._rows()
            .filter(position=self._stored_position, epoch=self.epoch)
            .update(position=upto)
        )
        if not changed:
            raise StaleLease(
                f"Subscription {self.definition.name!r} was moved by another worker or operator."
            )

    def _move_idle(self, upto: int) -> None:
        """Nothing to apply: the checkpoint need not move more than once a second."""
        self.position = upto
        now = time.monotonic()
        if upto != self._stored_position and now - self._moved_at > _IDLE_CHECKPOINT_SECONDS:
            self._move(upto)
            self._stored_position = upto
            self._moved_at = now

    def settle(self) -> None:
        """Store a position that is ahead of the checkpoint, before the lease is given back."""
        if self.position != self._stored_position:
            self._move(self.position)
            self._stored_position = self.position

    def read_alone(self, *, until: int, limit: int) -> list[StoredRow]:
        """The next wanted rows straight from the store, for a subscription that lags behind."""
        names = self.definition.type_names
        wanted = LogFilter(types=None if names is None else sorted(names))
        rows = self.definition.store.driver.read_log(
            after=self.position, until=until, limit=limit, filter=wanted
        )
        return list(rows)

    def _rows(self) -> Any:
        return Subscription.objects.using(self.definition.using).filter(name=self.definition.name)
