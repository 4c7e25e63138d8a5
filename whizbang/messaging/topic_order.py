"""Events of other services in the order in which they were published."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F
from django.utils.timezone import now

from whizbang.drivers.brokers.base import BrokerMessage, Delivery, Kind
from whizbang.models import ReceivedTopic

logger = logging.getLogger(__name__)
HOLD_SECONDS = 10.0  # how long an event waits for the one before it
Key = tuple[str, str, str]  # the service that publishes, the domain, the lane


@dataclass(slots=True)
class _Topic:
    position: int | None = None  # of the last event that was let through; None: of none yet
    stored: int | None = None  # position that is in the database
    held: dict[int, list[Delivery]] = field(default_factory=dict)  # by position; it may come twice
    held_since: float = 0.0
    gap: str = ""


class TopicOrder:
    """Holds back what came before its predecessor: a broker that failed in the middle of a batch gets the
    rest of it again, behind what it has confirmed.

    Each event names the position of the one before it. What never comes is noticed, and not waited for
    longer than `HOLD_SECONDS`.
    """

    def __init__(self, *, using: str) -> None:
        self._using = using
        self._topics: dict[Key, _Topic] = {}

    def admit(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """What may be stored now, in order; the rest is kept for a later call."""
        ready: list[Delivery] = []
        touched: dict[Key, _Topic] = {}
        for delivery in deliveries:
            message = delivery.message
            if message is None or message.kind is not Kind.EVENT or message.previous is None:
                ready.append(delivery)
                continue
            key = (message.metadata.service, message.destination, message.lane)
            topic = touched[key] = self._topic(key, message)
            topic.held.setdefault(message.position, []).append(delivery)
        for key, topic in (*touched.items(), *self._overdue()):
            ready += self._release(key, topic)
        return ready

    @property
    def is_holding(self) -> bool:
        return any(topic.held for topic in self._topics.values())

    def note_stored(self) -> None:
        """Keep how far each topic has come, in the transaction that stores what was admitted."""
        for (service, domain, lane), topic in self._topics.items():
            if topic.position is None or (topic.position == topic.stored and not topic.gap):
                continue
            rows = ReceivedTopic.objects.using(self._using)
            row, _ = rows.get_or_create(service=service, domain=domain, lane=lane)
            changed: dict[str, Any] = {}
            if topic.position > row.position:
                changed["position"] = topic.position
            if topic.gap:
                changed |= {"gaps": F("gaps") + 1, "last_gap": topic.gap[:200]}
            if changed:
                rows.filter(pk=row.pk).update(received_at=now(), **changed)
            topic.stored, topic.gap = topic.position, ""

    def forget(self) -> None:
        """Begin anew from what is stored; what was held comes again from the broker."""
        self._topics.clear()

    def _topic(self, key: Key, message: BrokerMessage) -> _Topic:
        topic = self._topics.get(key)
        if topic is None:
            service, domain, lane = key
            rows = ReceivedTopic.objects.using(self._using)
            rows = rows.filter(service=service, domain=domain, lane=lane)
            known = rows.values_list("position", flat=True).first()
            # Whoever begins to listen begins with what comes first.
            position = message.previous if known is None else known
            topic = self._topics[key] = _Topic(position, stored=known)
        return topic

    def _overdue(self) -> Iterator[tuple[Key, _Topic]]:
        for key, topic in self._topics.items():
            if topic.held and topic.held_since and _is_long_ago(topic.held_since):
                yield key, topic

    def _release(self, key: Key, topic: _Topic) -> list[Delivery]:
        ready: list[Delivery] = []
        for position in sorted(topic.held):
            reached = topic.position or 0
            if _previous_of(topic.held[position]) > reached:
                if not topic.held_since or not _is_long_ago(topic.held_since):
                    topic.held_since = topic.held_since or time.monotonic()
                    return ready
                topic.gap = f"after {reached}, before {position}, noticed {now():%Y-%m-%d %H:%M}"
                logger.error(
                    "Events are missing service=%s domain=%s lane=%s after=%s before=%s",
                    *key,
                    reached,
                    position,
                )
            ready += topic.held.pop(position)
            topic.position = max(reached, position)
        topic.held_since = 0.0
        return ready


def _previous_of(copies: Sequence[Delivery]) -> int:
    """Of one event: a copy that was sent again may name an earlier one, if what was between was refused."""
    return min(copy.message.previous or 0 for copy in copies if copy.message is not None)


def _is_long_ago(moment: float) -> bool:
    return time.monotonic() - moment >= HOLD_SECONDS
