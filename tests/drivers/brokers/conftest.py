"""Servers for the tests of brokers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.conftest import demand_packages


@pytest.fixture(scope="session")
def kafka_address() -> Iterator[str]:
    """A server of this run's own, unless WHIZBANG_TEST_KAFKA names one."""
    demand_packages("confluent_kafka", "noida_db")
    if named := os.environ.get("WHIZBANG_TEST_KAFKA"):
        yield named
        return
    from tests.drivers.brokers.kafka_server import kafka_server

    with kafka_server() as server:
        yield server.address
