"""RabbitMQ as a broker: quorum queues, publisher confirms, one receiver of events at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

from whizbang.drivers.brokers.base import (
    Broker,
    BrokerMessage,
    BrokerUnavailable,
    Delivery,
    Kind,
    Published,
    Topology,
)
from whizbang.drivers.brokers.rabbitmq.names import Names, routing_key_of
from whizbang.drivers.sinks.masking import mask
from whizbang.drivers.telemetry.operations import Server
from whizbang.exceptions import WhizbangError

if TYPE_CHECKING:
    from whizbang.drivers.brokers.rabbitmq.consumer import Consumer
    from whizbang.drivers.brokers.rabbitmq.link import Link
    from whizbang.drivers.brokers.rabbitmq.publisher import Batch, Publisher

logger = logging.getLogger(__name__)


class RabbitMQBroker(Broker):
    """Messages over RabbitMQ 3.10 or newer.

    Commands and replies go by the direct exchange `PREFIX.services` to the queue `PREFIX.SERVICE`, events by
    the topic exchange `PREFIX.events`, with the routing key `DOMAIN.TYPE`, to `PREFIX.SERVICE.events` of
    every service that listens. What a service no longer listens to is unbound by hand. RabbitMQ 4 drops a
    message after 20 deliveries, unless a policy sets `delivery-limit` to -1 for these queues.

    It has a connection to publish and one to receive. Both work only while a method runs, so a receiver
    that is away for longer than two heartbeats loses its connection, and gets the messages again.
    """

    system: ClassVar[str] = "rabbitmq"
    own_options: ClassVar[Mapping[str, Any]] = {
        "url": "amqp://guest:guest@127.0.0.1:5672/%2F",  # amqps:// for TLS
        "tls": None,  # or paths of PEM files: {"ca": …, "cert": …, "key": …}
        "max_message_bytes": 16 * 1024 * 1024,  # what RabbitMQ 4 takes unless it is told otherwise
        "prefetch": 500,  # messages that wait here for each queue until they are acknowledged
        "heartbeat_seconds": 60,
    }

    def __init__(
        self, *, using: str, alias: str = "default", options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(using=using, alias=alias, options=options)
        if find_spec("pika") is None:
            raise WhizbangError(
                f"Broker {alias!r} needs pika: pip install django-whizbang[rabbitmq]"
            )
        url = urlsplit(self.options["url"])
        if url.scheme not in ("amqp", "amqps"):
            raise WhizbangError(
                f"Broker {alias!r} has a URL that begins with {url.scheme!r}: use amqp:// or amqps://."
            )
        self._secrets = [unquote(url.password or ""), url.password or ""]
        self._names = Names(self.options["prefix"])
        self._topology: Topology | None = None
        self._is_declared = False
        self._publisher: Publisher | None = None
        self._consumer: Consumer | None = None

    @property
    def server(self) -> Server:
        url = urlsplit(self.options["url"])
        is_safe = url.scheme == "amqps" or self.options["tls"] is not None
        return Server(url.hostname or "localhost", url.port or (5671 if is_safe else 5672))

    def destination_of(self, message: BrokerMessage) -> str:
        if message.kind is Kind.EVENT:
            return f"{self._names.events}:{routing_key_of(message.destination, message.type)}"
        return f"{self._names.services}:{message.destination}"

    def source_of(self, delivery: Delivery) -> str:
        return str(delivery.token.queue)

    def depths(self) -> Mapping[str, int]:
        """Without those that wait in the memory of receivers."""
        with self._answering():
            return self._to_receive().depths()

    def declare(self, topology: Topology) -> None:
        self._topology, self._is_declared = topology, False
        with self._answering():
            self._declare_once()

    def publish(self, messages: Sequence[BrokerMessage]) -> Published:
        from whizbang.drivers.brokers.rabbitmq.publisher import Batch

        batch = Batch(messages, self._names, self.options["max_message_bytes"])
        if batch.unsent:
            self._send(batch)
        return Published(confirmed=frozenset(batch.confirmed), refused=batch.refused)

    def receive(self, *, limit: int, timeout_seconds: float) -> list[Delivery]:
        with self._answering():
            return self._to_receive().receive(limit=limit, timeout_seconds=timeout_seconds)

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        if self._consumer is None or not self._consumer.holds(deliveries):
            raise BrokerUnavailable(
                self.alias, "the connection that these messages came by is gone; they come again"
            )
        with self._answering():
            self._consumer.acknowledge(deliveries)

    def close(self) -> None:
        for user in (self._publisher, self._consumer):
            if user is not None:
                user.link.close()
        self._publisher = self._consumer = None

    def _send(self, batch: Batch) -> None:
        """What was confirmed before an error counts: it need not be sent again."""
        try:
            with self._answering():
                self._to_publish().send(batch)
        except BrokerUnavailable as exc:
            if not batch.confirmed:
                raise
            logger.warning(
                "Broker failed amid a batch alias=%s confirmed=%s unconfirmed=%s reason=%s",
                self.alias,
                len(batch.confirmed),
                len(batch.unsent) + len(batch.pending),
                exc.reason,
            )

    def _to_publish(self) -> Publisher:
        from whizbang.drivers.brokers.rabbitmq.publisher import Publisher

        # After half a heartbeat without its loop neither side has given the connection up yet; a later
        # one may be dead without telling.
        heartbeat = self.options["heartbeat_seconds"]
        if self._publisher is not None and heartbeat:
            if self._publisher.link.idle_seconds > heartbeat / 2:
                self._publisher.link.close()
                self._publisher = None
        if self._publisher is None:
            self._declare_once()
            self._publisher = self._open(Publisher)
        return self._publisher

    def _to_receive(self) -> Consumer:
        from whizbang.drivers.brokers.rabbitmq.consumer import Consumer

        if self._consumer is None:
            topology = self._declare_once()
            queues = [self._names.queue_of(topology.service)]
            if topology.listens_to:
                queues.append(self._names.event_queue_of(topology.service))
            self._consumer = self._open(Consumer, queues, self.options["prefetch"])
        return self._consumer

    def _declare_once(self) -> Topology:
        """Anew after every error: what is missing may be the reason of it."""
        from whizbang.drivers.brokers.rabbitmq.topology import declare

        if self._topology is None:
            raise WhizbangError(
                f"Broker {self.alias!r} was not told of its queues: call declare()."
            )
        if not self._is_declared:
            with closing(self._connect()) as link:
                declare(link, self._topology, self._names)
            self._is_declared = True
        return self._topology

    def _open(self, user: Any, *arguments: Any) -> Any:
        link = self._connect()
        try:
            return user(link, *arguments)
        except BaseException:
            link.abort()
            raise

    def _connect(self) -> Link:
        from whizbang.drivers.brokers.rabbitmq.link import Link, parameters_of

        return Link(
            parameters_of(self.options), timeout_seconds=float(self.options["timeout_seconds"])
        )

    @contextmanager
    def _answering(self) -> Iterator[None]:
        from pika.exceptions import AMQPError

        try:
            yield
        except (AMQPError, OSError) as exc:
            self._drop_broken()
            reason = mask(f"{type(exc).__name__}: {exc}", self._secrets)
            # From None: the product's own error may tell secrets, and tracebacks are stored and logged.
            raise BrokerUnavailable(self.alias, reason) from None

    def _drop_broken(self) -> None:
        self._is_declared = False
        if self._publisher is not None and self._publisher.link.is_broken:
            self._publisher.link.abort()
            self._publisher = None
        if self._consumer is not None and self._consumer.link.is_broken:
            self._consumer.link.abort()
            self._consumer = None
