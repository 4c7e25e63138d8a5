"""Scenario 23: the same message ids sent at the same time from several processes; handled once, one answer for all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from projects.example import services
from tests.example.four_services import TYPES, FourServices, check_nothing_left, four_services
from tests.example.same_sender import COMMANDS
from tests.processes import PATIENCE_SECONDS

BROKERS = {"sqlite": ["database"], "postgres": ["rabbitmq"]}.get(settings.DATABASE_KIND, [])
SENDERS = 3


@pytest.fixture(params=BROKERS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FourServices]:
    with four_services(request.param, tmp_path) as made:
        yield made


def answers_of_all(shop: FourServices, service: str, verb: str) -> list[Any]:
    """What each of several processes of a service is answered, which begin together."""
    command = [sys.executable, "-m", "tests.example.same_sender", verb]
    senders = [
        subprocess.Popen(
            command,
            cwd=services.ROOT,
            env=services.environment_of(service, shop.shared),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(SENDERS)
    ]
    try:
        for sender in senders:
            assert sender.stdout is not None
            assert sender.stdout.readline() == "ready\n"
        for sender in senders:
            assert sender.stdin is not None
            sender.stdin.write("\n")
            sender.stdin.flush()
        return [json.loads(sender.communicate(timeout=PATIENCE_SECONDS)[0]) for sender in senders]
    finally:
        for sender in senders:
            sender.kill()
            sender.communicate()


@pytest.mark.parametrize(("service", "verb"), [("orders", "send"), ("shipping", "publish")])
def test_same_id_is_handled_once_and_answered_alike(
    shop: FourServices, service: str, verb: str
) -> None:
    """By the service itself, and by another one that waits for the answers."""
    with shop.running("orders", "shipping"):
        answers = answers_of_all(shop, service, verb)
    assert answers == [[f"sent-{number}" for number in range(COMMANDS)]] * SENDERS
    found = shop.report("orders")
    assert found["events"] == {TYPES["orders"]: COMMANDS}
    assert found["places"] == COMMANDS
    check_nothing_left(found, "orders")
