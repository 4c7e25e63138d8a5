"""The broker that is the database: services that share one store's database reach each other by it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from whizbang.drivers.brokers.base import Broker, OutgoingMessage
from whizbang.messages.hashing import hash_of
from whizbang.models import InboxMessage


class InProcessBroker(Broker):
    """Puts messages into the inbox of the service they are for; as durable as the database."""

    def publish(self, messages: Sequence[OutgoingMessage]) -> set[UUID]:
        InboxMessage.objects.using(self.using).bulk_create(
            [self._row(message) for message in messages], ignore_conflicts=True
        )
        return {message.message_id for message in messages}

    def _row(self, message: OutgoingMessage) -> InboxMessage:
        return InboxMessage(
            service=message.service,
            message_id=message.message_id,
            type=message.type,
            schema=message.schema,
            payload=message.payload,
            payload_hash=hash_of(message.payload),
            metadata=message.metadata,
            occurred_at=message.occurred_at,
            mode="durable",
            ordering_key=message.ordering_key,
            available_at=message.available_at,
            expires_at=message.expires_at,
        )
