"""Events of this service on their way to the services that listen to them.

A subscription of our own for each domain: the log is the outbox of events, which are copied nowhere. Its
checkpoint follows the broker's confirm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

import msgspec

from whizbang.drivers.brokers.base import (
    Broker,
    BrokerMessage,
    BrokerUnavailable,
    Kind,
    Published,
)
from whizbang.drivers.sinks.base import DocumentRefused
from whizbang.drivers.stores.base import StoredRow
from whizbang.messages.base import Event
from whizbang.messages.encoding import encode_json
from whizbang.messages.metadata import WireMetadata
from whizbang.messages.types import all_types, names_read_as
from whizbang.messaging.topology import has_peers, make_broker, owned_domains, topology
from whizbang.messaging.tracing import telling_publication
from whizbang.models import PublishedTopic
from whizbang.projections.declaration import BEGINNING
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.outside import Failure, OutsideBatch, OutsideDefinition
from whizbang.subscriptions.partitioning import BY_STREAM, WHOLE, SliceRange


class Outlet:
    """A connection to the broker for one partition of a topic: several may publish at the same time."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._is_declared = False

    def declare(self) -> None:
        """Once, and again after it was not there."""
        if not self._is_declared:
            self.broker.declare(topology())
            self._is_declared = True

    def publish(self, messages: Sequence[BrokerMessage]) -> Published:
        try:
            return self.broker.publish(messages)
        except BrokerUnavailable:
            self._is_declared = False
            raise


class TopicSubscription(OutsideDefinition):
    """Publishes the events of one domain, each stream in its order.

    Each partition is a lane, and so is each part that the broker makes of a topic: events are in order
    in their lane, and there each names the one before it. With one lane they are in the order of the log.
    """

    kind = "topic"
    is_told_by_batch = False  # that it publishes them is
    backfill_from = BEGINNING
    partition_by = BY_STREAM

    def __init__(self, store: EventStore, domain: str) -> None:
        super().__init__(store)
        self.domain = domain
        self.name = f"whizbang.topic.{domain}"
        self.type_names = frozenset(_names_of(domain))
        self._outlets: dict[SliceRange, Outlet] = {}

    def batch(
        self,
        rows: Sequence[StoredRow],
        *,
        parked: Set[str],
        slices: SliceRange = WHOLE,
        is_late: bool = False,
    ) -> OutsideBatch:
        outlet = self._outlets.get(slices)
        if outlet is None:
            outlet = self._outlets[slices] = Outlet(make_broker(using=self.store.using))
        return TopicBatch(self, rows, outlet, slices, is_late=is_late)

    def last_published(self) -> dict[str, int]:
        """The position of the last event of each lane."""
        rows = PublishedTopic.objects.using(self.store.using).filter(domain=self.domain)
        return dict(rows.values_list("lane", "position"))

    def note_published(self, positions: Mapping[str, int]) -> None:
        for lane, position in positions.items():
            PublishedTopic.objects.using(self.store.using).update_or_create(
                domain=self.domain, lane=lane, defaults={"position": position}
            )


class TopicBatch(OutsideBatch):
    """Some events of one domain, each with the position of the one before it, so that a gap is noticed."""

    def __init__(
        self,
        definition: TopicSubscription,
        rows: Sequence[StoredRow],
        outlet: Outlet,
        slices: SliceRange,
        *,
        is_late: bool,
    ) -> None:
        self._definition, self._rows, self._outlet = definition, rows, outlet
        self._lane = "" if slices.is_whole else str(slices)
        self._is_late = is_late
        self._positions: dict[str, int] = {}  # the last one, by lane
        self._messages: list[BrokerMessage] = []

    def load(self) -> bool:
        self._outlet.declare()
        return True

    def open(self) -> None:
        self._outlet.declare()

    def fold(self) -> Failure | None:
        self._messages = list(self._make())
        return None

    def save(self) -> None:
        broker, messages = self._outlet.broker, self._messages
        with telling_publication(broker, messages):
            published = self._outlet.publish(messages)
        if published.refused:
            reasons = {str(id): reason for id, reason in published.refused.items()}
            raise DocumentRefused(self._definition.name, reasons)
        missing = len(messages) - len(published.confirmed)
        if missing:
            reason = f"{missing} of {len(messages)} events were not confirmed."
            raise BrokerUnavailable(broker.alias, reason)

    def note_saved(self) -> None:
        if not self._is_late:
            self._definition.note_published(self._positions)

    def mark_applied(self) -> None:
        """Receivers tell by the version what they have."""
        self._messages = []

    def _make(self) -> Iterator[BrokerMessage]:
        definition, before = self._definition, self._definition.last_published()
        for row in self._rows:
            meta = definition.store.decode_metadata(row)
            lane = self._lane_of(row.stream)
            previous = self._positions.get(lane, before.get(lane, 0))
            self._positions[lane] = row.position
            yield BrokerMessage(
                kind=Kind.EVENT,
                destination=definition.domain,
                message_id=meta.message_id,
                type=row.type,
                schema=row.schema,
                payload=self._to_json(row.payload),
                metadata=WireMetadata.of(meta),
                occurred_at=row.occurred_at,
                stream=row.stream,
                version=row.version,
                position=row.position,
                lane=lane,
                # One that is taken up again comes late: it has no place among the others any more.
                previous=None if self._is_late else previous,
            )

    def _lane_of(self, stream: str) -> str:
        part = self._outlet.broker.lane_of(self._definition.domain, stream)
        return f"{self._lane}/{part}" if part else self._lane

    def _to_json(self, payload: bytes) -> bytes:
        if self._definition.store.driver.supports_json:
            return payload
        return encode_json(msgspec.msgpack.decode(payload))


def topics(store: EventStore) -> list[TopicSubscription]:
    """One for each domain of this service, where there is another one to hear of it."""
    if not has_peers() or store.alias != "default":
        return []
    return [TopicSubscription(store, domain) for domain in sorted(owned_domains())]


def _names_of(domain: str) -> Iterator[str]:
    for cls in all_types():
        if issubclass(cls, Event) and cls.__whizbang__.domain == domain:
            yield from names_read_as(cls)
