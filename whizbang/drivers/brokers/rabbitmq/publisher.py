"""The connection that publishes: a batch at a time, and each message confirmed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pika

from whizbang.drivers.brokers.base import BrokerMessage, Kind
from whizbang.drivers.brokers.cloudevents import STRUCTURED_HEADER, to_structured
from whizbang.drivers.brokers.rabbitmq.link import Link
from whizbang.drivers.brokers.rabbitmq.names import MOST_BYTES, Names, routing_key_of

_PERSISTENT = 2


class Batch:
    """What one call publishes, and what has become of each message."""

    def __init__(self, messages: Sequence[BrokerMessage], names: Names, most_bytes: int) -> None:
        self.names = names
        self.confirmed: set[UUID] = set()
        self.refused: dict[UUID, str] = {}
        self.pending: OrderedDict[int, BrokerMessage] = OrderedDict()  # by delivery tag, in order
        self.unsent: list[tuple[BrokerMessage, bytes]] = []
        for message in messages:
            self._add(message, to_structured(message), most_bytes)

    def _add(self, message: BrokerMessage, body: bytes, most_bytes: int) -> None:
        if len(body) > most_bytes:
            self.refused[message.message_id] = (
                f"It has {len(body)} bytes; the broker's option 'max_message_bytes' is {most_bytes}."
            )
        elif len(message.destination.encode()) > MOST_BYTES:
            self.refused[message.message_id] = "Its destination is longer than a name in AMQP."
        else:
            self.unsent.append((message, body))

    def settle(self, message: BrokerMessage, *, is_returned: bool) -> None:
        # An event that nobody listens to has arrived everywhere that it had to.
        if is_returned and message.kind is not Kind.EVENT:
            self.refused[message.message_id] = (
                f"No queue takes what is for the service {message.destination!r}: let it run once, "
                "or name it among the peers."
            )
        else:
            self.confirmed.add(message.message_id)


class Publisher:
    def __init__(self, link: Link) -> None:
        self.link = link
        self._tag = 0
        self._batch: Batch | None = None
        self._returned: set[str] = set()
        self._channel = link.open_channel()
        self._channel.add_on_return_callback(self._on_return)
        link.ask(lambda answer: self._channel.confirm_delivery(self._on_outcome, answer))

    def send(self, batch: Batch) -> None:
        """Send what is unsent and wait until it is settled; what the server nacks stays unconfirmed.

        Raises TimeoutError when the wait is over: this publisher is then broken, as after other errors.
        """
        self._batch = batch
        self._returned.clear()
        while batch.unsent:
            self._send_all(batch)
        if not self.link.run(lambda: not batch.pending, seconds=self.link.timeout_seconds):
            late = TimeoutError(
                f"{len(batch.pending)} messages not confirmed within {self.link.timeout_seconds:g} s"
            )
            self.link.fail(late)
            raise late

    def _send_all(self, batch: Batch) -> None:
        sending, batch.unsent = batch.unsent, []
        with self.link.gathering():
            for message, body in sending:
                self._tag += 1
                batch.pending[self._tag] = message
                self._send_one(message, body, batch.names)

    def _send_one(self, message: BrokerMessage, body: bytes, names: Names) -> None:
        is_event = message.kind is Kind.EVENT
        self._channel.basic_publish(
            names.events if is_event else names.services,
            routing_key_of(message.destination, message.type) if is_event else message.destination,
            body,
            pika.BasicProperties(
                content_type=STRUCTURED_HEADER,
                delivery_mode=_PERSISTENT,
                message_id=str(message.message_id),
            ),
            # What no queue takes comes back before it is confirmed; without this it is lost in silence.
            mandatory=not is_event,
        )

    def _on_return(self, _channel: Any, _method: Any, properties: Any, _body: bytes) -> None:
        self._returned.add(properties.message_id)

    def _on_outcome(self, frame: Any) -> None:
        """An ack or nack, of one message or of all up to this tag."""
        batch = self._batch
        assert batch is not None
        is_ack = isinstance(frame.method, pika.spec.Basic.Ack)
        for message in self._take(batch.pending, frame.method.delivery_tag, frame.method.multiple):
            if is_ack:
                batch.settle(message, is_returned=str(message.message_id) in self._returned)
        if not batch.pending:
            self.link.wake()

    def _take(
        self, pending: OrderedDict[int, BrokerMessage], tag: int, is_multiple: bool
    ) -> list[BrokerMessage]:
        if not is_multiple:
            message = pending.pop(tag, None)
            return [] if message is None else [message]
        taken = []
        while pending and next(iter(pending)) <= tag:
            taken.append(pending.popitem(last=False)[1])
        return taken
