"""Moves outbox rows to the broker, in their order, and marks them after its confirm."""

from __future__ import annotations

import logging
import time
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from whizbang.conf import settings
from whizbang.drivers.brokers.base import Broker, OutgoingMessage
from whizbang.models import OutboxMessage
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.leases import LeaseHolder

logger = logging.getLogger(__name__)
_LEASE = "whizbang.relay"
_REST_SECONDS = 1.0


class Relay:
    """Publishes what is unsent. One worker at a time does it, under a lease."""

    def __init__(self, store: EventStore, owner: str) -> None:
        self.store = store
        self._leases = LeaseHolder(owner, using=store.using)
        self._broker = make_broker(using=store.using)
        self._rest_until = 0.0

    def run_once(self) -> int:
        """Publish one batch in id order; gives how many the broker confirmed."""
        rows = list(self._unsent()[: settings.BATCH_SIZE])
        if not rows or self._leases.epoch_of(_LEASE) is None:
            return 0
        confirmed = self._publish(rows)
        sent = [row.pk for row in rows if row.message_id in confirmed]
        OutboxMessage.objects.using(self.store.using).filter(
            pk__in=sent, published_at__isnull=True
        ).update(published_at=Now())
        return len(sent)

    def _publish(self, rows: list[OutboxMessage]) -> set[UUID]:
        """A broker that is down slows the relay and nobody else: its rows stay for the next turn."""
        if time.monotonic() < self._rest_until:
            return set()
        try:
            return self._broker.publish([_outgoing(row) for row in rows])
        except DatabaseError:
            raise
        except Exception as exc:
            logger.warning("Broker failed, will try again count=%s error=%s", len(rows), exc)
            self._rest_until = time.monotonic() + _REST_SECONDS
            return set()

    def close(self) -> None:
        self._leases.release_all()

    def _unsent(self) -> Any:
        rows = OutboxMessage.objects.using(self.store.using)
        return rows.filter(published_at__isnull=True).order_by("id")


def make_broker(*, using: str) -> Broker:
    configured = settings.get().BROKERS["default"]
    broker: Broker = import_string(configured["BACKEND"])(
        using=using, options=configured.get("OPTIONS")
    )
    return broker


def _outgoing(row: OutboxMessage) -> OutgoingMessage:
    return OutgoingMessage(
        service=row.service,
        message_id=row.message_id,
        type=row.type,
        schema=row.schema,
        payload=bytes(row.payload),
        metadata=bytes(row.metadata),
        occurred_at=row.occurred_at,
        ordering_key=row.ordering_key,
        available_at=row.available_at,
        expires_at=row.expires_at,
    )
