"""Brokers on a prefix of one test, and what stands between them and the server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import redis
from django.conf import settings

from tests.drivers.brokers.proxy import Proxy, proxy_to
from tests.drivers.brokers.redis.cases import (
    BILLING,
    MakeBroker,
)
from tests.processes import ROOT
from whizbang.drivers.brokers.base import Topology
from whizbang.drivers.brokers.redis import RedisBroker


@pytest.fixture
def prefix(redis_url: str) -> Iterator[str]:
    """Keys that begin with it are removed in the end."""
    name = f"{settings.RUN_ID}-{uuid4().hex[:8]}"
    yield name
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter(f"{name}:*", count=1000):
            client.delete(key)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def make_broker(redis_url: str, prefix: str) -> Iterator[MakeBroker]:
    made: list[RedisBroker] = []

    def make(topology: Topology | None = BILLING, **options: Any) -> RedisBroker:
        made.append(
            RedisBroker(using="default", options={"url": redis_url, "prefix": prefix, **options})
        )
        if topology is not None:
            made[-1].declare(topology)
        return made[-1]

    yield make
    for broker in made:
        broker.close()


@pytest.fixture
def redis_proxy(redis_url: str) -> Iterator[Proxy]:
    url = urlsplit(redis_url)
    with proxy_to(url.hostname or "127.0.0.1", url.port or 6379) as proxy:
        yield proxy


@pytest.fixture
def start_receiver(redis_url: str, prefix: str) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that receives; see receiver_process."""
    started: list[subprocess.Popen[str]] = []

    def start(mode: str) -> subprocess.Popen[str]:
        module = "tests.drivers.brokers.redis.receiver_process"
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", module, redis_url, prefix, mode],
                cwd=ROOT,
                env=os.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()
