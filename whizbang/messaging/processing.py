"""Handles claimed commands: one by one, or many a transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from django.db import connections, transaction

from whizbang.conf import settings
from whizbang.domain.read_ahead import run_with_read_ahead
from whizbang.domain.unit_of_work import UnitOfWork
from whizbang.drivers.clock import database_now
from whizbang.exceptions import UnknownMessageType, WhizbangError
from whizbang.messages.envelope import Envelope
from whizbang.messages.types import type_named
from whizbang.messaging.claim_keeper import ClaimKeeper
from whizbang.messaging.claims import claim_due, give_back
from whizbang.messaging.completion import LostClaim, complete_many
from whizbang.messaging.failures import bury, fail, most_attempts_of
from whizbang.messaging.queue import store_messages
from whizbang.messaging.rows import envelope_of
from whizbang.models import InboxMessage
from whizbang.pipeline.chain import queued_chains
from whizbang.routing.registry import registry
from whizbang.store.event_store import EventStore

logger = logging.getLogger(__name__)
Status = InboxMessage.Status


class WorkerDied(WhizbangError):
    """A message was under way whenever its worker died."""


class InboxProcessor:
    """Handles what is due in the inbox of this service, on one store."""

    def __init__(self, store: EventStore, keeper: ClaimKeeper | None = None) -> None:
        self.store = store
        self._keeper = keeper

    @property
    def using(self) -> str:
        return self.store.using

    def run_once(self, *, retries_are_due: bool = False) -> int:
        """Claim and handle one batch; gives how many messages were taken."""
        rows = claim_due(using=self.using, limit=settings.BATCH_SIZE, is_impatient=retries_are_due)
        live = [row for row in rows if row.status != Status.EXPIRED]
        if self._keeper is not None:
            self._keeper.keep(live[0].claim if live else None)
        try:
            self._handle(live)
        except BaseException:
            if not connections[self.using].in_atomic_block:
                give_back(live, using=self.using)
            raise
        finally:
            if self._keeper is not None:
                self._keeper.keep(None)
        return len(rows)

    def _handle(self, rows: Sequence[InboxMessage]) -> None:
        """One priority after the other, as long as the claim surely holds; the rest is given back."""
        until = time.monotonic() + settings.LEASE_SECONDS / 4
        left = list(rows)
        while left:
            highest = max(row.priority for row in left)
            same = [row for row in left if row.priority == highest]
            left = [row for row in left if row.priority != highest]
            self._handle_alike(same, until)
            if left and time.monotonic() > until:
                give_back(left, using=self.using)
                return

    def _handle_alike(self, rows: Sequence[InboxMessage], until: float) -> None:
        """Messages of one priority: those of a batch first."""
        batched = [row for row in rows if self._is_batchable(row)]
        singles = list(rows)
        if len(batched) > 1 and self._handle_batch(batched):
            done = {row.pk for row in batched}
            singles = [row for row in rows if row.pk not in done]
        self._handle_each(singles, until)

    def _is_batchable(self, row: InboxMessage) -> bool:
        if row.mode != "batched" or row.attempts > 1:
            return False
        try:
            handler = registry.handler_of(type_named(row.type))
        except UnknownMessageType:
            return False
        return handler is not None and handler.atomic

    def _handle_batch(self, rows: Sequence[InboxMessage]) -> bool:
        """All in one transaction without savepoints; False when each must have its own."""
        try:
            with transaction.atomic(using=self.using):
                unit = UnitOfWork(self.store.alias)
                envelopes = [self._open(row) for row in rows]
                for envelope in envelopes:
                    envelope.unit, envelope.is_batch_member = unit, True
                run_with_read_ahead(unit, [(e.message, e) for e in envelopes], _run)
                unit.commit()
                store_messages(unit.messages, using=self.using)
                complete_many(unit.completed, using=self.using)
        except LostClaim as exc:
            logger.info("Batch left to another worker reason=%s", exc)
        except Exception as exc:
            logger.info("Batch failed, going one by one count=%s reason=%s", len(rows), exc)
            return False
        return True

    def _handle_each(self, rows: Sequence[InboxMessage], until: float) -> None:
        for index, row in enumerate(rows):
            if index and time.monotonic() > until:
                give_back(rows[index:], using=self.using)
                return
            if row.expires_at is not None and row.expires_at <= database_now(self.using):
                give_back([row], using=self.using)  # whoever claims it next marks it so
            else:
                self._handle_one(row)

    def _handle_one(self, row: InboxMessage) -> None:
        if row.attempts > most_attempts_of(row):
            error = WorkerDied(f"The worker died in attempt {row.attempts - 1}, the last one.")
            bury(row, error, using=self.using)
            return
        try:
            _run(self._open(row))
        except LostClaim as exc:
            logger.info("Message left to another worker reason=%s", exc)
        except Exception as exc:
            fail(row, exc, using=self.using)

    def _open(self, row: InboxMessage) -> Envelope:
        envelope = envelope_of(row)
        envelope.receipt = row
        envelope.using = self.store.alias
        return envelope


def _run(envelope: Envelope) -> None:
    queued_chains[type(envelope.message)](envelope)
