"""The contract of a peer: send one no-op message `count` times and say how long it took.

A peer is set up once and its message is built before the clock starts, as ours is. Synchronous
peers are called directly. Asynchronous ones are awaited in a loop that already runs, so that they
pay for their own coroutines and nothing else.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from itertools import repeat
from time import perf_counter
from typing import Any

from benchmarks.measuring import time_calls

# What every peer's message carries: the values of the no-op message of ours.
FIELDS: dict[str, Any] = {"order_id": "order-17", "quantity": 3, "amount": "12.50"}


class Peer(ABC):
    """`name` is the package on PyPI."""

    def __init__(self, *, name: str) -> None:
        self.name = name

    @abstractmethod
    def run(self, count: int) -> float:
        """Send `count` messages and return the seconds that took."""


class SyncPeer(Peer):
    """A peer with an ordinary function to send by."""

    def __init__(self, *, name: str, send: Callable[[Any], object], message: Any) -> None:
        super().__init__(name=name)
        self._send, self._message = send, message

    def run(self, count: int) -> float:
        return time_calls(self._send, self._message, count)


class AsyncPeer(Peer):
    """A peer with a coroutine function to send by, awaited one message after the other."""

    def __init__(
        self, *, name: str, send: Callable[[Any], Awaitable[object]], message: Any
    ) -> None:
        super().__init__(name=name)
        self._send, self._message = send, message
        self._loop = asyncio.new_event_loop()

    def run(self, count: int) -> float:
        return self._loop.run_until_complete(self._time(count))

    async def _time(self, count: int) -> float:
        send, message = self._send, self._message
        started = perf_counter()
        for _ in repeat(None, count):
            await send(message)
        return perf_counter() - started
