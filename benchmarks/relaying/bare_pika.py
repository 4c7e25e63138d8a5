"""The same messages from a list to a quorum queue, as one would write it with pika and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import pika

BATCH = 500


class BatchPublisher:
    """Publishes a batch, waits for the confirms of all of it, and goes on with the next one."""

    def __init__(self, url: str, queue: str, bodies: Sequence[bytes]) -> None:
        self._queue, self._bodies = queue, bodies
        self._sent = self._confirmed = 0
        self._started = 0.0
        self.seconds = 0.0
        self._connection = pika.SelectConnection(
            pika.URLParameters(url), on_open_callback=self._open_channel
        )

    def run(self) -> float:
        """Messages a second, from the first one sent to the last one confirmed."""
        self._connection.ioloop.start()
        return len(self._bodies) / self.seconds

    def _open_channel(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._declare)

    def _declare(self, channel: Any) -> None:
        self._channel = channel
        channel.queue_declare(
            self._queue, durable=True, arguments={"x-queue-type": "quorum"}, callback=self._begin
        )

    def _begin(self, frame: Any) -> None:
        self._channel.confirm_delivery(self._note_confirm)
        self._started = perf_counter()
        self._send()

    def _send(self) -> None:
        properties = pika.BasicProperties(delivery_mode=2)
        for body in self._bodies[self._sent : self._sent + BATCH]:
            self._channel.basic_publish("", self._queue, body, properties)
            self._sent += 1

    def _note_confirm(self, frame: Any) -> None:
        tag = frame.method.delivery_tag
        self._confirmed = tag if frame.method.multiple else self._confirmed + 1
        if self._confirmed < self._sent:
            return
        if self._sent < len(self._bodies):
            self._send()
        else:
            self.seconds = perf_counter() - self._started
            self._connection.close()
            self._connection.ioloop.stop()
