"""A worker and its connections: what it does when one of them is replaced, or cannot be made."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from pytest import MonkeyPatch

from tests.processes import running, wait_for_end
from tests.scenarios.own_server import find_free_port
from whizbang.messaging.processing import InboxProcessor
from whizbang.operations import worker_parts
from whizbang.operations.worker import Worker
from whizbang.subscriptions.engine import Engine

pytestmark = [pytest.mark.requires_server, pytest.mark.django_db(transaction=True)]
LIMITS = {
    "postgresql": "SELECT setting::float / 1000 FROM pg_settings"
    " WHERE name = 'idle_in_transaction_session_timeout'",
    "mysql": "SELECT @@SESSION.idle_transaction_timeout",
}


def read_limit() -> float:
    with connection.cursor() as cursor:
        cursor.execute(LIMITS[connection.vendor])
        return float(cursor.fetchone()[0])


def test_worker_limits_a_connection_that_replaced_a_lost_one(monkeypatch: MonkeyPatch) -> None:
    """A handler's transaction lost it, and Django made another one behind the worker's back."""
    limits: list[float] = []

    def run_once(self: InboxProcessor, **known: Any) -> int:
        limits.append(read_limit())
        connection.close()
        return int(len(limits) < 3)

    monkeypatch.setattr(InboxProcessor, "run_once", run_once)
    Worker().run(until_idle=True)
    assert limits == [24.0, 24.0, 24.0]  # four fifths of LEASE_SECONDS


def test_worker_forgets_with_its_connection_how_far_the_log_was(monkeypatch: MonkeyPatch) -> None:
    """A server that crashed may have lost commits that were seen, where it does not wait for its disk."""
    made: list[Engine] = []

    class Noted(Engine):
        def __init__(self, *given: Any, **known: Any) -> None:
            super().__init__(*given, **known)
            made.append(self)

    turns: list[int] = []

    def run_once(self: InboxProcessor, **known: Any) -> int:
        turns.append(len(made))
        if len(turns) == 2:
            connection.close()
        return int(len(turns) < 4)

    monkeypatch.setattr(worker_parts, "Engine", Noted)
    monkeypatch.setattr(InboxProcessor, "run_once", run_once)
    Worker().run(until_idle=True)
    assert turns[:4] == [1, 1, 2, 2]


WITH_PROJECTION_ELSEWHERE = """
import sys
import django
from django.conf import settings

default = settings.DATABASES["default"]
settings.DATABASES["absent"] = {**default, "HOST": "127.0.0.1", "PORT": int(sys.argv[1])}
django.setup()
from tests.shop.messages import OrderNoted
from whizbang import Projection, on
from whizbang.operations.worker import Worker

class Elsewhere(Projection):
    using = "absent"

    @on(OrderNoted)
    def noted(self, event, meta):
        raise AssertionError("It has no database to write to.")

Worker().run(max_seconds=0.1)
"""


def test_worker_waits_for_the_server_of_a_projections_own_database(
    child_environment: dict[str, str],
) -> None:
    port = str(find_free_port())  # where nobody answers
    with running(child_environment, "-c", WITH_PROJECTION_ELSEWHERE, port) as process:
        assert "Database trouble" in wait_for_end(process)
