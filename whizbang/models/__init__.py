"""The tables."""

from __future__ import annotations

from whizbang.models.event import StoredEvent
from whizbang.models.head import StoreHead
from whizbang.models.messaging import DeadLetter, InboxMessage, OutboxMessage
from whizbang.models.stream import EventType, Stream
from whizbang.models.subscription import Lease, ParkedStream, Rebuild, Subscription

__all__ = [
    "DeadLetter",
    "EventType",
    "InboxMessage",
    "Lease",
    "OutboxMessage",
    "ParkedStream",
    "Rebuild",
    "StoreHead",
    "StoredEvent",
    "Stream",
    "Subscription",
]
