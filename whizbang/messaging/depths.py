"""How much waits in the broker, for whoever collects metrics."""

from __future__ import annotations

import time

from whizbang.drivers.brokers.base import Broker
from whizbang.drivers.telemetry import names, telemetry
from whizbang.drivers.telemetry.base import Gauge, Reading

DEPTH = Gauge("whizbang.broker.pending.count", "{message}", "Messages that wait in the broker")
LOOK_SECONDS = 15.0


class DepthGauge:
    """Told by the one receiver of a service, which has the connection: looking must not open another one."""

    def __init__(self) -> None:
        self._next_at = 0.0
        self._is_told = False

    def tell(self, broker: Broker) -> None:
        """Look when it is time, and when somebody collects. Raises `BrokerUnavailable`."""
        if time.monotonic() < self._next_at or not telemetry.is_enabled():
            return
        self._next_at = time.monotonic() + LOOK_SECONDS
        if telemetry.collects_metrics():
            readings = [
                Reading(count, {names.DESTINATION: source, names.SYSTEM: broker.system})
                for source, count in broker.depths().items()
            ]
            telemetry.set_gauges(__name__, {DEPTH: readings})
            self._is_told = True

    def forget(self) -> None:
        """What is not known any more is absent."""
        if self._is_told:
            telemetry.set_gauges(__name__, {})
        self._next_at, self._is_told = 0.0, False
