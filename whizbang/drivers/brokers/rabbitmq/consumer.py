"""The connection that receives: messages gather here, and are acknowledged many at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from whizbang.drivers.brokers.base import Delivery, Malformed
from whizbang.drivers.brokers.rabbitmq.content import read_message
from whizbang.drivers.brokers.rabbitmq.link import Link

_GATHER_SECONDS = 0.001  # how long nothing more must come until a batch is handed out


class Token(NamedTuple):
    session: object  # of the connection: a tag means nothing to the next one
    queue: str
    tag: int


class Consumer:
    def __init__(self, link: Link, queues: Sequence[str], prefetch: int) -> None:
        self.link = link
        self._session = object()
        self._arrived: deque[Delivery] = deque()
        # A channel for each queue, since an acknowledgement of all up to a tag is of its channel.
        self._channels = {queue: self._consume(queue, prefetch) for queue in queues}

    def receive(self, *, limit: int, timeout_seconds: float) -> list[Delivery]:
        self.link.turn()  # a break is noticed even while enough is here
        self.link.run(lambda: bool(self._arrived), seconds=timeout_seconds)
        while 0 < len(self._arrived) < limit and self._more_came():
            continue
        return [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]

    def holds(self, deliveries: Sequence[Delivery]) -> bool:
        return all(delivery.token.session is self._session for delivery in deliveries)

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        last: dict[str, int] = {}
        for delivery in deliveries:
            last[delivery.token.queue] = delivery.token.tag
        for queue, tag in last.items():
            self._channels[queue].basic_ack(tag, multiple=True)
        self.link.turn()

    def depths(self) -> dict[str, int]:
        """How many messages wait in each queue."""
        return {queue: self._depth_of(queue) for queue in self._channels}

    def _depth_of(self, queue: str) -> int:
        channel = self._channels[queue]
        answer = self.link.ask(
            lambda answer: channel.queue_declare(queue, passive=True, callback=answer)
        )
        return int(answer.method.message_count)

    def _consume(self, queue: str, prefetch: int) -> Any:
        channel = self.link.open_channel()
        channel.add_on_cancel_callback(
            lambda _: self.link.fail(ConnectionAbortedError(f"queue {queue!r} was deleted"))
        )
        self.link.ask(lambda answer: channel.basic_qos(prefetch_count=prefetch, callback=answer))
        on_message = partial(self._on_message, queue)
        self.link.ask(lambda answer: channel.basic_consume(queue, on_message, callback=answer))
        return channel

    def _on_message(
        self, queue: str, _channel: Any, method: Any, properties: Any, body: bytes
    ) -> None:
        token = Token(self._session, queue, method.delivery_tag)
        try:
            self._arrived.append(Delivery(message=read_message(properties, body), token=token))
        except Malformed as exc:
            problem = Delivery(message=None, problem=str(exc), raw=body, token=token)
            self._arrived.append(problem)
        if len(self._arrived) == 1:
            self.link.wake()

    def _more_came(self) -> bool:
        before = len(self._arrived)
        self.link.turn(seconds=_GATHER_SECONDS)
        return len(self._arrived) > before
