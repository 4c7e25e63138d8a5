"""Moves outbox rows to the broker, in their order, and marks them after its confirm."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.drivers.brokers.base import BrokerMessage, BrokerUnavailable, Kind, Published
from whizbang.drivers.brokers.cloudevents import to_structured
from whizbang.messages.metadata import WireMetadata
from whizbang.messages.text import error_text
from whizbang.messaging.lanes import ALL_LANES, LANES
from whizbang.messaging.replies import note_refused
from whizbang.messaging.topology import make_broker, topology
from whizbang.messaging.tracing import telling_publication
from whizbang.models import DeadLetter, OutboxMessage
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.outage import Outage
from whizbang.subscriptions.shared_leases import SharedLeases

logger = logging.getLogger(__name__)
REFUSED_BY_BROKER = "RefusedByBroker"  # reason of a dead letter
_LEASE = "whizbang.relay"
_decode_metadata = msgspec.json.Decoder(WireMetadata).decode


class Relay:
    """Publishes commands and answers that are unsent. Workers share the lanes of the outbox, under leases.

    Rows become visible in the order of their ids within one ordering key, whose senders wait for each
    other at its stream, and which has one lane; between others there is no order to keep.
    """

    def __init__(self, store: EventStore, owner: str) -> None:
        self.store = store
        self._lanes = SharedLeases(owner, _LEASE, LANES, using=store.using)
        self._broker = make_broker(using=store.using)
        self._outage = Outage()
        self._is_declared = False

    def run_once(self) -> int:
        """Publish one batch in the order of ids; gives how many the broker confirmed or refused."""
        if not self._outage.may_try():
            return 0
        if not self._lanes.holds_any() and not self._unsent(ALL_LANES).exists():
            return 0  # leases cost more than a look, and most services send little
        lanes = self._lanes.numbers()
        rows = list(self._unsent(lanes)[: settings.BATCH_SIZE]) if lanes else []
        if not rows:
            return 0
        try:
            published = self._publish([_outgoing(row) for row in rows])
        except BrokerUnavailable as exc:
            self._note_trouble(len(rows), exc)
            return 0
        if self._outage.note_success():
            logger.info("Broker answers again")
        return self._mark(rows, published)

    @property
    def is_hindered(self) -> bool:
        """Is the broker away, and this the worker that waits for it?"""
        return self._outage.is_on and self._lanes.holds_any()

    def stop(self) -> None:
        """End soon; called from another thread."""
        self._lanes.stop()

    def close(self) -> None:
        self._broker.close()
        self._lanes.close()

    def _publish(self, messages: Sequence[BrokerMessage]) -> Published:
        if not self._is_declared:
            self._broker.declare(topology())
            self._is_declared = True
        with telling_publication(self._broker, messages):
            return self._broker.publish(messages)

    def _note_trouble(self, count: int, error: BrokerUnavailable) -> None:
        """A broker that is down slows the relay and nobody else: its rows stay for the next turn."""
        self._is_declared = False
        if self._outage.note_failure():
            logger.warning(
                "Broker does not answer, will try again unsent=%s error=%s",
                count,
                error_text(error),
            )

    def _mark(self, rows: Sequence[OutboxMessage], published: Published) -> int:
        using = self.store.using
        done = [
            row.pk
            for row in rows
            if row.message_id in published.confirmed or row.message_id in published.refused
        ]
        with transaction.atomic(using=using):
            self._bury(rows, published.refused)
            unsent = OutboxMessage.objects.using(using).filter(published_at__isnull=True)
            unsent.filter(pk__in=done).update(published_at=Now())
        if len(done) < len(rows):
            logger.warning("Not all was confirmed, will try again count=%s", len(rows) - len(done))
            self._outage.note_failure()
        return len(done)

    def _bury(self, rows: Sequence[OutboxMessage], refused: Mapping[UUID, str]) -> None:
        for row in rows:
            reason = refused.get(row.message_id)
            if reason is None:
                continue
            logger.error(
                "Broker refused a message type=%s id=%s to=%s reason=%s",
                row.type,
                row.message_id,
                row.service,
                reason,
            )
            note_refused(row, reason, using=self.store.using)
            DeadLetter.objects.using(self.store.using).create(
                message_id=row.message_id,
                type=row.type,
                schema=row.schema,
                payload=row.payload,
                metadata=row.metadata,
                occurred_at=row.occurred_at,
                reason=REFUSED_BY_BROKER,
                error=f"To service {row.service!r}: {reason}",
                attempts=1,
                document=to_structured(_outgoing(row)),
            )

    def _unsent(self, lanes: frozenset[int]) -> Any:
        rows = OutboxMessage.objects.using(self.store.using).filter(published_at__isnull=True)
        # By the index of ids: those of other lanes are passed over.
        return (rows if lanes == ALL_LANES else rows.filter(lane__in=lanes)).order_by("id")


def _outgoing(row: OutboxMessage) -> BrokerMessage:
    return BrokerMessage(
        kind=Kind(row.kind),
        destination=row.service,
        message_id=row.message_id,
        type=row.type,
        schema=row.schema,
        payload=bytes(row.payload),
        metadata=_decode_metadata(bytes(row.metadata)),
        occurred_at=row.occurred_at,
        ordering_key=row.ordering_key,
        available_at=row.available_at,
        expires_at=row.expires_at,
        reply_to=row.reply_to,
    )
