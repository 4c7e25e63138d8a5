"""Scenarios 8 and 9 for a read model outside the database, and a sink that is down or slow."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

import whizbang
from tests.elasticsearch_server import elasticsearch_server, free_port
from tests.processes import PATIENCE_SECONDS, running, stop, wait_until
from tests.projections.documents import SINK, declare, fold, held, note
from tests.scenarios.external_worker import STEPS
from whizbang import ExternalProjection
from whizbang.conf import settings as settings_of_library
from whizbang.models import Lease, Partition, Subscription

pytestmark = pytest.mark.django_db(transaction=True)
Environment = dict[str, str]
Documents = type[ExternalProjection]
NAME = "tests.NoteDocuments"


@pytest.fixture
def sink_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    options = {
        "url": request.getfixturevalue("redis_url"),
        "prefix": f"{django_settings.RUN_ID}-{uuid4().hex[:8]}:",
    }
    return {"BACKEND": "whizbang.drivers.sinks.redis.RedisSink", "OPTIONS": options}


@pytest.fixture
def documents(sink_settings: dict[str, Any], isolated_registry: None) -> Iterator[Documents]:
    with override_settings(WHIZBANG={"SINKS": {SINK: sink_settings}}):
        declared = declare()
        yield declared
        declared.open_sink().drop(declared.stored_as())


def start_worker(
    environment: Environment,
    action: str = "nothing",
    step: str = "",
    *,
    calls: int = 1,
    **settings: Any,
) -> AbstractContextManager[Popen[str]]:
    sinks = {SINK: settings_of_library.SINKS[SINK]}
    values = {"BATCH_SIZE": 5, "LEASE_SECONDS": 1.0, "IDLE_POLL_SECONDS": 0.05, "SINKS": sinks}
    program = "tests.scenarios.external_worker"
    given = json.dumps({**values, **settings})
    return running(environment, "-m", program, action, step, str(calls), given)


def position(name: str = NAME) -> int:
    return (
        Partition.objects.filter(subscription=name).values_list("position", flat=True).first() or 0
    )


def has_caught_up(name: str = NAME) -> bool:
    return position(name) >= whizbang.event_store().head()


def error() -> str:
    return Subscription.objects.filter(name=NAME).values_list("error", flat=True).first() or ""


def is_frozen(process: Popen[str]) -> bool:
    state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    assert process.poll() is None, "the worker has ended"
    return state == "T"


def owner() -> str:
    return Lease.objects.values_list("owner", flat=True).get(name=NAME)


def kill_one(environment: Environment, step: str, calls: int, **settings: Any) -> None:
    with start_worker(environment, "kill", step, calls=calls, **settings) as process:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == -signal.SIGKILL, output


@pytest.mark.requires_redis
class TestKilledOrFrozen:
    @pytest.mark.parametrize("step", STEPS)
    def test_next_worker_goes_on_exactly_after_a_kill(
        self, child_environment: Environment, documents: Documents, step: str
    ) -> None:
        for order_id in "1234":
            note(order_id, *"abcdef")
        kill_one(child_environment, step, calls=2)
        note("1", "g", "h")
        kill_one(child_environment, step, calls=1)
        with start_worker(child_environment) as process:
            wait_until(has_caught_up)
            stop(process)
        assert held(documents) == fold()

    def test_without_positions_in_the_documents_events_are_applied_twice(
        self, child_environment: Environment, documents: Documents
    ) -> None:
        """The test above can fail."""
        note("1", *"abcdef")
        kill_one(child_environment, "after the write", calls=2, broken="positions")
        with start_worker(child_environment, broken="positions") as process:
            wait_until(has_caught_up)
            stop(process)
        assert len(held(documents)["1"]) > len(fold()["1"])

    def test_frozen_worker_cannot_write_when_it_wakes(
        self, child_environment: Environment, documents: Documents
    ) -> None:
        note("1", *"abcdef")
        note("2", *"abcdef")
        with start_worker(child_environment, "freeze", "before the write", calls=2) as frozen:
            wait_until(lambda: is_frozen(frozen))
            first = owner()
            with start_worker(child_environment) as other:
                wait_until(lambda: has_caught_up() and owner() not in ("", first))
                frozen.send_signal(signal.SIGCONT)
                note("3", "a")
                wait_until(has_caught_up)
                stop(other)
            # It works again, once it may: by then its late write has been answered.
            note("3", "b")
            wait_until(has_caught_up)
            stop(frozen)
        assert held(documents) == fold()

    def test_without_the_comparison_it_writes_over_the_other(
        self, child_environment: Environment, documents: Documents
    ) -> None:
        """The test above can fail."""
        note("1", *"abcdefghijkl")
        with start_worker(
            child_environment, "freeze", "before the write", calls=2, broken="comparison"
        ) as frozen:
            wait_until(lambda: is_frozen(frozen))
            first = owner()
            with start_worker(child_environment) as other:
                wait_until(lambda: has_caught_up() and owner() not in ("", first))
                stop(other)
            assert held(documents) == fold()
            frozen.send_signal(signal.SIGCONT)
            wait_until(lambda: held(documents)["1"] != fold()["1"])


@pytest.mark.requires_redis
def test_slow_sink_holds_up_its_own_subscription_alone(
    child_environment: Environment, documents: Documents
) -> None:
    """Each call hangs for longer than the others need for everything."""
    note("1", *"abcdef")
    with start_worker(child_environment, hangs=5.0, BATCH_SIZE=1) as process:
        wait_until(lambda: has_caught_up("shop.OrderSummaries"))
        for _ in range(20):
            note("2", "a")
            wait_until(lambda: has_caught_up("shop.OrderSummaries"))
        # Six calls of five seconds each come before the first event of the second order.
        assert "2" not in held(documents)
        process.kill()


class TestDown:
    @pytest.fixture
    def port(self, elasticsearch_url: str) -> int:
        return free_port()

    @pytest.fixture
    def sink_settings(self, port: int) -> dict[str, Any]:
        options = {"url": f"http://ada:secret@127.0.0.1:{port}", "timeout_seconds": 2.0}
        backend = "whizbang.drivers.sinks.elasticsearch.ElasticsearchSink"
        return {"BACKEND": backend, "OPTIONS": options}

    @pytest.fixture
    def documents(
        self, sink_settings: dict[str, Any], isolated_registry: None
    ) -> Iterator[Documents]:
        with override_settings(WHIZBANG={"SINKS": {SINK: sink_settings}}):
            yield declare()

    def test_others_go_on_and_it_catches_up_in_order_when_the_sink_is_there(
        self, child_environment: Environment, documents: Documents, port: int
    ) -> None:
        note("1", *"abc")
        with start_worker(child_environment) as process:
            wait_until(lambda: has_caught_up("shop.OrderSummaries") and error() != "")
            note("2", *"abc")
            wait_until(lambda: has_caught_up("shop.OrderSummaries"))
            assert position() == 0
            assert "ConnectionError" in error() and "secret" not in error()
            with elasticsearch_server(port):
                wait_until(has_caught_up)
                wait_until(lambda: error() == "")
                note("1", "d")
                wait_until(has_caught_up)
                assert held(documents) == fold()
                output = stop(process)
        assert output.count("tries again") == 1
        assert "secret" not in output
