"""Takes commands from the inbox and handles them: one by one, or many a transaction."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import connections, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.domain.read_ahead import run_with_read_ahead
from whizbang.domain.unit_of_work import UnitOfWork
from whizbang.exceptions import (
    DecodeError,
    HandlerNotFound,
    MessageRejected,
    OwnershipError,
    Rejected,
    UnknownMessageType,
)
from whizbang.messages.envelope import Envelope
from whizbang.messages.types import type_named
from whizbang.messaging.queue import store_messages
from whizbang.messaging.receipts import LostClaim, complete_many
from whizbang.messaging.rows import envelope_of
from whizbang.models import DeadLetter, InboxMessage
from whizbang.pipeline.chain import queued_chains
from whizbang.routing.registry import registry
from whizbang.store.event_store import EventStore

logger = logging.getLogger(__name__)
Status = InboxMessage.Status
_OPEN = (Status.STORED, Status.RUNNING, Status.RETRYING)
# A second try would end the same way.
_FINAL_ERRORS = (
    Rejected,
    MessageRejected,
    UnknownMessageType,
    DecodeError,
    HandlerNotFound,
    OwnershipError,
)


class InboxProcessor:
    """Handles what is due in the inbox of this service, on one store."""

    def __init__(self, store: EventStore) -> None:
        self.store = store

    @property
    def using(self) -> str:
        return self.store.using

    def run_once(self, *, retries_are_due: bool = False) -> int:
        """Claim and handle one batch; gives how many messages were taken."""
        rows = self.claim(limit=settings.BATCH_SIZE, retries_are_due=retries_are_due)
        live = [row for row in rows if row.status != Status.EXPIRED]
        try:
            self._handle(live)
        except BaseException:
            self._give_back(live)
            raise
        return len(rows)

    def _handle(self, live: list[InboxMessage]) -> None:
        batched = [row for row in live if self._is_batchable(row)]
        if len(batched) > 1:
            self._handle_batch(batched)
            done = {row.pk for row in batched}
            live = [row for row in live if row.pk not in done]
        for row in live:
            self._handle_one(row)

    def _give_back(self, rows: list[InboxMessage]) -> None:
        """The worker is interrupted: let others take what it has not handled, without waiting."""
        if rows and not connections[self.using].in_atomic_block:
            self._rows().filter(claim=rows[0].claim, status=Status.RUNNING).update(
                status=Status.STORED, attempts=F("attempts") - 1, available_at=Now()
            )

    def claim(self, *, limit: int, retries_are_due: bool = False) -> list[InboxMessage]:
        """Take due messages under a claim; a worker that dies leaves them to others after the lease."""
        due = Q(available_at__lte=Now())
        if retries_are_due:
            due |= Q(status=Status.RETRYING)
        with transaction.atomic(using=self.using):
            query = self._rows().filter(due, status__in=_OPEN, service=settings.SERVICE)
            query = query.filter(~Exists(self._earlier_of_same_key())).order_by(
                "available_at", "id"
            )
            if connections[self.using].features.has_select_for_update_skip_locked:
                query = query.select_for_update(skip_locked=True)
            rows = list(query[:limit])
            if rows:
                self._mark_claimed(rows)
        return rows

    def _earlier_of_same_key(self) -> Any:
        """A key is held by its earliest message until that is handled; a dead one parks the key."""
        return self._rows().filter(
            service=OuterRef("service"),
            ordering_key__isnull=False,
            ordering_key=OuterRef("ordering_key"),
            id__lt=OuterRef("id"),
            status__in=(*_OPEN, Status.FAILED),
        )

    def _mark_claimed(self, rows: list[InboxMessage]) -> None:
        claim = uuid4()
        pks = [row.pk for row in rows]
        changed = self._rows().filter(pk__in=pks)
        changed.filter(expires_at__lte=Now()).update(
            status=Status.EXPIRED,
            error="It was not handled before it expired.",
            payload=None,
            metadata=None,
            finished_at=Now(),
        )
        changed.exclude(status=Status.EXPIRED).update(
            status=Status.RUNNING,
            claim=claim,
            attempts=F("attempts") + 1,
            available_at=Now() + timedelta(seconds=settings.LEASE_SECONDS),
        )
        has_deadline = any(row.expires_at is not None for row in rows)
        expired = set(
            changed.filter(status=Status.EXPIRED).values_list("pk", flat=True)
            if has_deadline
            else ()
        )
        for row in rows:
            row.claim, row.attempts = claim, row.attempts + 1
            row.status = Status.EXPIRED if row.pk in expired else Status.RUNNING

    def _is_batchable(self, row: InboxMessage) -> bool:
        if row.mode != "batched" or row.attempts > 1:
            return False
        try:
            handler = registry.handler_of(type_named(row.type))
        except UnknownMessageType:
            return False
        return handler is not None and handler.atomic

    def _handle_batch(self, rows: Sequence[InboxMessage]) -> None:
        """All in one transaction without savepoints; if one fails, each in its own."""
        try:
            with transaction.atomic(using=self.using):
                unit = UnitOfWork(self.store.alias)
                unit.is_batch = True
                envelopes = [self._open(row) for row in rows]
                for envelope in envelopes:
                    envelope.unit = unit
                run_with_read_ahead(unit, [(e.message, e) for e in envelopes], _run_queued)
                unit.commit()
                store_messages(unit.messages, using=self.using)
                complete_many(unit.completed, using=self.using)
        except LostClaim as exc:
            logger.info("Batch left to another worker reason=%s", exc)
        except Exception as exc:
            logger.info("Batch failed, going one by one count=%s reason=%s", len(rows), exc)
            for row in rows:
                self._handle_one(row)

    def _handle_one(self, row: InboxMessage) -> None:
        try:
            _run_queued(self._open(row))
        except LostClaim as exc:
            logger.info("Message left to another worker reason=%s", exc)
        except Exception as exc:
            self._fail(row, exc)

    def _open(self, row: InboxMessage) -> Envelope:
        envelope = envelope_of(row)
        envelope.receipt = row
        envelope.using = self.store.alias
        return envelope

    def _fail(self, row: InboxMessage, error: Exception) -> None:
        is_final = isinstance(error, _FINAL_ERRORS) or row.attempts >= settings.MAX_ATTEMPTS
        if is_final:
            self._bury(row, error)
            return
        logger.warning(
            "Message failed and will be retried type=%s id=%s attempt=%s error=%s",
            row.type,
            row.message_id,
            row.attempts,
            error,
        )
        self._claimed(row).update(
            status=Status.RETRYING,
            available_at=Now() + timedelta(seconds=retry_seconds(row.attempts)),
            **_story_of(error),
        )

    def _bury(self, row: InboxMessage, error: Exception) -> None:
        logger.error(
            "Message given up type=%s id=%s attempts=%s error=%s",
            row.type,
            row.message_id,
            row.attempts,
            error,
        )
        story = _story_of(error)
        with transaction.atomic(using=self.using):
            changed = self._claimed(row).update(
                status=Status.FAILED, payload=None, metadata=None, finished_at=Now(), **story
            )
            if changed:
                DeadLetter.objects.using(self.using).create(
                    message_id=row.message_id,
                    type=row.type,
                    schema=row.schema,
                    payload=row.payload,
                    metadata=row.metadata,
                    occurred_at=row.occurred_at,
                    reason=type(error).__name__,
                    attempts=row.attempts,
                    **story,
                )

    def _claimed(self, row: InboxMessage) -> Any:
        return self._rows().filter(pk=row.pk, claim=row.claim, status=Status.RUNNING)

    def _rows(self) -> Any:
        return InboxMessage.objects.using(self.using)


def _run_queued(envelope: Envelope) -> None:
    queued_chains[type(envelope.message)](envelope)


def retry_seconds(attempts: int) -> float:
    """Exponential backoff with full jitter, bounded."""
    longest = min(settings.RETRY_SECONDS * 2 ** (attempts - 1), settings.RETRY_MAX_SECONDS)
    return float(random.uniform(longest / 2, longest))


def _story_of(error: Exception) -> dict[str, str]:
    return {
        "error": f"{type(error).__name__}: {error}",
        "traceback": "".join(traceback.format_exception(error))[-20_000:],
    }
