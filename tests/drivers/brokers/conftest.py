"""Servers for the tests of brokers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.services import must_answer


@pytest.fixture(scope="session")
def kafka_address() -> Iterator[str]:
    """A server of this run's own, unless WHIZBANG_TEST_KAFKA names one."""
    _demand_packages()
    if named := os.environ.get("WHIZBANG_TEST_KAFKA"):
        yield named
        return
    from tests.drivers.brokers.kafka_server import kafka_server

    with kafka_server() as server:
        yield server.address


def _demand_packages() -> None:
    for module in ("confluent_kafka", "noida_db"):
        if find_spec(module) is None:
            absence = f"{module} is not installed: pip install -r requirements/test.txt"
            pytest.fail(absence, pytrace=False) if must_answer() else pytest.skip(absence)
