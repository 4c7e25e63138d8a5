"""Events of this service on their way to the services that listen to them.

A subscription of our own for each domain: the log is the outbox of events, which are copied nowhere. Its
checkpoint follows the broker's confirm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

import msgspec

from whizbang.drivers.brokers.base import Broker, BrokerMessage, BrokerUnavailable, Kind
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


class TopicSubscription(OutsideDefinition):
    """Publishes the events of one domain in the order of the log."""

    kind = "topic"
    is_told_by_batch = False  # that it publishes them is
    backfill_from = BEGINNING

    def __init__(self, store: EventStore, domain: str) -> None:
        super().__init__(store)
        self.domain = domain
        self.name = f"whizbang.topic.{domain}"
        self.type_names = frozenset(_names_of(domain))
        self._broker: Broker | None = None
        self.is_declared = False

    @property
    def broker(self) -> Broker:
        """Made once, and kept."""
        if self._broker is None:
            self._broker = make_broker(using=self.store.using)
        return self._broker

    def batch(
        self, rows: Sequence[StoredRow], *, parked: Set[str], is_late: bool = False
    ) -> OutsideBatch:
        # One that is taken up again comes late: it has no place among the others any more.
        return TopicBatch(self, rows, previous=None if is_late else self._last_published())

    def _last_published(self) -> int:
        rows = PublishedTopic.objects.using(self.store.using).filter(domain=self.domain)
        return rows.values_list("position", flat=True).first() or 0

    def note_published(self, position: int) -> None:
        PublishedTopic.objects.using(self.store.using).update_or_create(
            domain=self.domain, defaults={"position": position}
        )


class TopicBatch(OutsideBatch):
    """Some events of one domain, each with the position of the one before it, so that a gap is noticed."""

    def __init__(
        self, definition: TopicSubscription, rows: Sequence[StoredRow], *, previous: int | None
    ) -> None:
        self._definition, self._rows, self._previous = definition, rows, previous
        self._messages = list(self._make())

    def load(self) -> bool:
        definition = self._definition
        if not definition.is_declared:
            definition.broker.declare(topology())
            definition.is_declared = True
        return True

    def open(self) -> None:
        self._definition.broker.declare(topology())

    def fold(self) -> Failure | None:
        return None

    def save(self) -> None:
        broker, messages = self._definition.broker, self._messages
        try:
            with telling_publication(broker, messages):
                published = broker.publish(messages)
        except BrokerUnavailable:
            self._definition.is_declared = False
            raise
        if published.refused:
            reasons = {str(id): reason for id, reason in published.refused.items()}
            raise DocumentRefused(self._definition.name, reasons)
        missing = len(messages) - len(published.confirmed)
        if missing:
            reason = f"{missing} of {len(messages)} events were not confirmed."
            raise BrokerUnavailable(broker.alias, reason)

    def note_saved(self) -> None:
        if self._previous is not None and self._rows:
            self._definition.note_published(self._rows[-1].position)

    def mark_applied(self) -> None:
        """Receivers tell by the version what they have."""
        self._messages = []

    def _make(self) -> Iterator[BrokerMessage]:
        definition, previous = self._definition, self._previous
        for row in self._rows:
            meta = definition.store.decode_metadata(row)
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
                previous=previous,
            )
            previous = None if previous is None else row.position

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
