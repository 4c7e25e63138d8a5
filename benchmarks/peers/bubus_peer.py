"""bubus: one handler on one bus, each event awaited until it is handled.

An event can be handled once, so `count` of them are made before the clock starts.
"""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter

from bubus import BaseEvent, EventBus

from benchmarks.peers.base import FIELDS, Peer


class Nothing(BaseEvent[None]):
    order_id: str
    quantity: int
    amount: str


async def handle(event: Nothing) -> None:
    return None


class BubusPeer(Peer):
    def __init__(self) -> None:
        super().__init__(name="bubus")
        logging.getLogger("bubus").setLevel(logging.ERROR)
        self._loop = asyncio.new_event_loop()
        self._bus: EventBus | None = None

    def run(self, count: int) -> float:
        return self._loop.run_until_complete(self._time(count))

    async def _time(self, count: int) -> float:
        bus = self._start_bus()
        events = [Nothing(**FIELDS) for _ in range(count)]
        started = perf_counter()
        for event in events:
            await bus.dispatch(event)
        return perf_counter() - started

    def _start_bus(self) -> EventBus:
        """The bus starts its own task, so it can only be made inside the running loop."""
        if self._bus is None:
            self._bus = EventBus(name="benchmark")
            self._bus.on(Nothing, handle)
        return self._bus


def make() -> BubusPeer:
    return BubusPeer()
