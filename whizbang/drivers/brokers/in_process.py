"""The broker that is a database: services that all reach one exchange their messages by it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db import DatabaseError, transaction

from whizbang.drivers.brokers.base import (
    Broker,
    BrokerMessage,
    BrokerUnavailable,
    Delivery,
    Kind,
    Malformed,
    Published,
    Topology,
)
from whizbang.drivers.brokers.cloudevents import from_structured, to_structured
from whizbang.models import QueueBinding, QueuedMessage

_LOOK_SECONDS = 0.02


class InProcessBroker(Broker):
    """Queues are rows of `using`; as durable as that database. Nothing needs to run but the services.

    Of several receivers of a service the caller lets one work at a time.
    """

    is_remote: ClassVar[bool] = False

    def __init__(self, **known: Any) -> None:
        super().__init__(**known)
        self._service = ""
        self._in_flight: set[int] = set()

    def declare(self, topology: Topology) -> None:
        self._service = topology.service
        listening = {topology.service: topology.listens_to, **topology.peers}
        with self._naming_trouble():
            QueueBinding.objects.using(self.using).bulk_create(
                [
                    QueueBinding(domain=domain, queue=self._queue_of(service))
                    for service, domains in sorted(listening.items())
                    for domain in sorted(domains)
                ],
                ignore_conflicts=True,
            )

    def publish(self, messages: Sequence[BrokerMessage]) -> Published:
        with self._naming_trouble(), transaction.atomic(using=self.using):
            bound = self._queues_by_domain(messages)
            QueuedMessage.objects.using(self.using).bulk_create(
                [
                    QueuedMessage(queue=queue, body=to_structured(message))
                    for message in messages
                    for queue in self._destinations(message, bound)
                ]
            )
        return Published(confirmed=frozenset(message.message_id for message in messages))

    def receive(self, *, limit: int, timeout_seconds: float) -> list[Delivery]:
        """See the base; looks again and again, since nothing tells of what comes."""
        deadline = time.monotonic() + timeout_seconds
        while not (found := self._waiting(limit)) and time.monotonic() < deadline:
            time.sleep(min(_LOOK_SECONDS, timeout_seconds))
        self._in_flight.update(row.pk for row in found)
        return [_delivery(row.pk, bytes(row.body)) for row in found]

    def _waiting(self, limit: int) -> list[QueuedMessage]:
        with self._naming_trouble():
            rows = QueuedMessage.objects.using(self.using).filter(
                queue=self._queue_of(self._service)
            )
            return list(rows.exclude(pk__in=self._in_flight).order_by("pk")[:limit])

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        done = [delivery.token for delivery in deliveries]
        with self._naming_trouble():
            QueuedMessage.objects.using(self.using).filter(pk__in=done).delete()
        self._in_flight.difference_update(done)

    def close(self) -> None:
        self._in_flight.clear()

    def source_of(self, delivery: Delivery) -> str:
        return self._queue_of(self._service)

    def depths(self) -> Mapping[str, int]:
        queue = self._queue_of(self._service)
        with self._naming_trouble():
            return {queue: QueuedMessage.objects.using(self.using).filter(queue=queue).count()}

    def _queue_of(self, service: str) -> str:
        return f"{self.options['prefix']}.{service}"

    def _queues_by_domain(self, messages: Sequence[BrokerMessage]) -> dict[str, list[str]]:
        domains = {m.destination for m in messages if m.kind is Kind.EVENT}
        found: dict[str, list[str]] = {}
        rows = QueueBinding.objects.using(self.using).filter(
            domain__in=domains, queue__startswith=self._queue_of("")
        )
        for row in rows.order_by("queue") if domains else ():
            found.setdefault(row.domain, []).append(row.queue)
        return found

    def _destinations(self, message: BrokerMessage, bound: dict[str, list[str]]) -> list[str]:
        if message.kind is Kind.EVENT:
            return bound.get(message.destination, [])
        return [self._queue_of(message.destination)]

    def _naming_trouble(self) -> _NamingTrouble:
        return _NamingTrouble(self.alias)


class _NamingTrouble:
    """Turns errors of the database into those of a broker."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, DatabaseError):
            raise BrokerUnavailable(self._alias, str(error)) from error


def _delivery(token: int, body: bytes) -> Delivery:
    try:
        return Delivery(message=from_structured(body), token=token)
    except Malformed as exc:
        return Delivery(message=None, problem=str(exc), raw=body, token=token)
