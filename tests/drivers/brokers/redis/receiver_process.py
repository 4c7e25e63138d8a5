"""A receiver in a process of its own, for tests that kill or stop it: python -m … URL PREFIX MODE.

It says what it does a line at a time. `hold` receives ten and keeps them. `wake` does so too, then waits for
a line on its input, acknowledges them and receives again.
"""

from __future__ import annotations

import json
import sys

from whizbang.drivers.brokers.base import Topology
from whizbang.drivers.brokers.redis import RedisBroker

LEASE_SECONDS = 1.0


def main(url: str, prefix: str, mode: str) -> None:
    options = {"url": url, "prefix": prefix, "lease_seconds": LEASE_SECONDS}
    broker = RedisBroker(using="default", options=options)
    broker.declare(Topology(service="billing", owns=[], listens_to=["orders"]))
    held = broker.receive(limit=10, timeout_seconds=5)
    say(positions_of(held))
    sys.stdin.readline()
    if mode == "wake":
        broker.acknowledge(held)
        say(positions_of(broker.receive(limit=1000, timeout_seconds=0.5)))


def positions_of(deliveries):
    return [delivery.message.position for delivery in deliveries if delivery.message]


def say(value) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
