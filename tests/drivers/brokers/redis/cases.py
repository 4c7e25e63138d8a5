"""What the tests of Redis send, and how they look at what came of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import redis

from tests.drivers.brokers.proxy import Proxy
from tests.services import REDIS_URL
from whizbang.drivers.brokers.base import (
    BrokerMessage,
    Delivery,
    Kind,
    Topology,
)
from whizbang.drivers.brokers.redis import RedisBroker
from whizbang.messages.metadata import WireMetadata

MakeBroker = Callable[..., RedisBroker]


BILLING = Topology(service="billing", owns=[], listens_to=["orders"])
SHOP = Topology(
    service="shop", owns=["orders"], listens_to=[], peers={"billing": ["orders"], "audit": []}
)


def event(position: int, *, domain: str = "orders", payload: bytes = b"{}") -> BrokerMessage:
    return _message(
        Kind.EVENT, domain, payload, stream=f"order-{position % 7}", version=1, position=position
    )


def command(service: str, payload: bytes = b"{}") -> BrokerMessage:
    return _message(Kind.COMMAND, service, payload, reply_to="shop")


def _message(kind: Kind, destination: str, payload: bytes, **fields: Any) -> BrokerMessage:
    message_id = uuid4()
    return BrokerMessage(
        kind=kind,
        destination=destination,
        message_id=message_id,
        type="Thing",
        payload=payload,
        metadata=WireMetadata(message_id=message_id, correlation_id=message_id, service="shop"),
        occurred_at=datetime.now(UTC),
        **fields,
    )


def through(proxy: Proxy) -> str:
    return urlsplit(REDIS_URL)._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()


def drain(broker: RedisBroker, *, limit: int = 500, acknowledge: bool = True) -> list[Delivery]:
    """All that comes within a moment of silence."""
    found: list[Delivery] = []
    while batch := broker.receive(limit=limit, timeout_seconds=0.3):
        found += batch
        if acknowledge:
            broker.acknowledge(batch)
    return found


def pending(client: redis.Redis, stream: str, group: str = "billing") -> int:
    return int(client.xpending(stream, group)["pending"])


def said(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return list(json.loads(process.stdout.readline()))
