"""Messages that wait, as rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

import whizbang
from tests.shop.messages import NOON, NoteOrder
from whizbang.messages.ids import make_id
from whizbang.models import InboxMessage, OutboxMessage


def waiting(text: str = "later", *, key: str | None = None, delay_seconds: float = 3600) -> Any:
    """A note for order 1 that is not due yet."""
    receipt = whizbang.publish(
        NoteOrder(order_id="1", text=text),
        ordering_key=key,
        delay=timedelta(seconds=delay_seconds),
    )
    return InboxMessage.objects.get(message_id=receipt.id)


def unsent(service: str = "billing", **known: Any) -> OutboxMessage:
    """A command for another service that nobody has sent."""
    own: dict[str, Any] = {
        "message_id": UUID(str(make_id())),
        "type": "billing.Charge",
        "payload": b'{"amount":1}',
        "metadata": b'{"message_id":"01900000-0000-7000-8000-000000000001"}',
        "occurred_at": NOON,
        "available_at": timezone.now(),
    }
    return OutboxMessage.objects.create(service=service, **{**own, **known})
