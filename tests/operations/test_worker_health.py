"""Probes of real worker processes, and several of them under one."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from pytest import MonkeyPatch

import whizbang
from tests.processes import (
    PATIENCE_SECONDS,
    has_ended,
    kill,
    running_worker,
    stop,
    wait_until,
)
from tests.scenarios.own_server import find_free_port
from tests.shop.gate import Gate
from tests.shop.messages import OpenOrder, PassGateOutside
from tests.shop.models import Heard, OrderSummary
from whizbang.operations import worker_parts
from whizbang.operations.liveness.pulse import State
from whizbang.operations.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)
ONLY = ("--only", "commands", "events", "rebuilds")


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


@pytest.fixture
def environment(child_environment: dict[str, str], gate: Gate) -> dict[str, str]:
    return {**child_environment, **gate.environment, "WHIZBANG_TEST_LEASE_SECONDS": "2"}


class Probe:
    """Asks a worker that was started with `--health-port 0`; it writes where it listens."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Health at http://"), line + process.stdout.read()
        self._address = urlsplit(line.split()[2]).netloc

    def status(self, path: str) -> int:
        return self._ask(path)[0]

    def report(self) -> Any:
        return self._ask("/ready")[1]

    def _ask(self, path: str) -> tuple[int, Any]:
        client = http.client.HTTPConnection(self._address, timeout=PATIENCE_SECONDS)
        try:
            client.request("GET", path)
            response = client.getresponse()
            return response.status, json.loads(response.read())
        finally:
            client.close()


def test_worker_tells_that_it_is_ready_and_that_it_is_stuck(
    environment: dict[str, str], gate: Gate, tmp_path: Path
) -> None:
    file = tmp_path / "health"
    health = ("--health-port", "0", "--health-file", str(file), "--stuck-seconds", "1")
    with running_worker(environment, *health, *ONLY) as worker:
        probe = Probe(worker)
        wait_until(lambda: probe.status("/ready") == 200 and file.exists())
        assert probe.report()["parts"] == {"loop": "ok", "rebuilds": "ok"}
        whizbang.publish(PassGateOutside(name="it"))
        wait_until(lambda: probe.status("/live") == 503)
        assert probe.report()["parts"]["loop"] == "stuck"
        wait_until(lambda: json.loads(file.read_text())["live"] is False)
        gate.open()
        wait_until(lambda: probe.status("/live") == probe.status("/ready") == 200)
        wait_until(lambda: json.loads(file.read_text())["ready"] is True)
        stop(worker)
    assert not file.exists()


@pytest.mark.requires_postgres
def test_worker_without_its_database_lives_and_is_not_ready(environment: dict[str, str]) -> None:
    """A restart would not help it."""
    nowhere = {**environment, "PGPORT": str(find_free_port())}
    with running_worker(nowhere, "--health-port", "0", *ONLY) as worker:
        probe = Probe(worker)
        wait_until(lambda: probe.report()["parts"].get("loop") == "failing")
        assert (probe.status("/live"), probe.status("/ready")) == (200, 503)
        assert "Database trouble" in stop(worker)


def test_trouble_with_the_database_is_told_until_it_is_over(monkeypatch: MonkeyPatch) -> None:
    worker = Worker(only=["commands"])
    states: list[State] = []

    def run_once() -> int:
        states.append(worker.report(stuck_seconds=1000).state)
        if len(states) == 1:
            raise OperationalError("database is locked")
        if len(states) == 3:
            worker.stop()
        return 1

    monkeypatch.setattr(worker, "run_once", run_once)
    worker.run()
    assert states == ["starting", "failing", "ok"]


@pytest.mark.parametrize(
    ("trouble", "state"),
    [(RuntimeError("broken"), "failing"), (SystemExit(), "ended"), (None, "failing")],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_part_beside_the_loop_tells_its_own_trouble(
    monkeypatch: MonkeyPatch, trouble: BaseException | None, state: str
) -> None:
    """An error, the end of its thread, or something away that it waits for."""

    class Part:
        is_hindered = True

        def run_once(self) -> int:
            if trouble is not None:
                raise trouble
            return 0

        def stop(self) -> None:
            pass

        def close(self) -> None:
            pass

    makers: Callable[..., Any] = lambda *known: {"relay": Part}  # noqa: E731
    monkeypatch.setattr(worker_parts, "background_makers", makers)
    worker = Worker()
    found: list[Any] = []

    def run_once() -> int:
        found.append(worker.report(stuck_seconds=1000).parts["relay"])
        if found[-1] == state:
            worker.stop()
        return 0

    monkeypatch.setattr(worker, "run_once", run_once)
    worker.run()
    assert found[-1] == state


def test_workers_of_a_group_share_the_work_are_replaced_and_stop_together(
    environment: dict[str, str], gate: Gate
) -> None:
    arguments = ("--processes", "2", "--health-port", "0", *ONLY)
    with running_worker(environment, *arguments) as parent:
        probe = Probe(parent)
        wait_until(lambda: probe.status("/ready") == 200)
        assert len(probe.report()["processes"]) == 2
        whizbang.publish(PassGateOutside(name="it"))
        wait_until(lambda: bool(gate.waiting("it")))
        (first,) = gate.waiting("it")
        subprocess.run(["kill", "-KILL", str(first)], check=True)
        wait_until(lambda: len(gate.waiting("it")) == 2)
        gate.open()
        wait_until(lambda: Heard.objects.filter(text__startswith="passed").count() == 1)
        wait_until(lambda: probe.status("/ready") == 200)
        output = stop(parent)
    assert output.count("Worker stopped") == 2
    assert all(map(has_ended, gate.waiting("it")))


def test_workers_end_after_their_batch_when_the_group_is_killed(
    environment: dict[str, str], gate: Gate
) -> None:
    with running_worker(environment, "--processes", "2", "--health-port", "0", *ONLY) as parent:
        probe = Probe(parent)
        wait_until(lambda: probe.status("/ready") == 200)
        children = children_of(parent.pid)
        assert len(children) == 2
        receipt = whizbang.publish(PassGateOutside(name="it"))
        wait_until(lambda: bool(gate.waiting("it")))
        parent.kill()
        (busy,) = gate.waiting("it")
        wait_until(lambda: all(map(has_ended, children - {busy})))
        assert not has_ended(busy)
        gate.open()
        wait_until(lambda: has_ended(busy))
        kill(parent)
    assert receipt.refresh().status == "handled"


def children_of(process: int) -> set[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=True
    )
    return set(map(int, listed.stdout.split()))


@pytest.mark.soak
def test_group_ends_with_work_that_ends(environment: dict[str, str]) -> None:
    whizbang.publish_batch(OpenOrder(order_id=str(number)) for number in range(30))
    with running_worker(environment, "--processes", "2", "--until-idle") as parent:
        output, _ = parent.communicate(timeout=PATIENCE_SECONDS)
    assert parent.returncode == 0, output
    assert OrderSummary.objects.count() == 30


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--processes", "2"], "from the command line alone"),
        (["--processes", "0"], "at least one"),
        (["--stuck-seconds", "0"], "more than 0"),
        (["--health-file", "/"], "cannot be written"),
        (["--health-port", "65536"], "Choose another"),
    ],
)
def test_what_cannot_be_is_refused(arguments: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        call_command("whizbang", "worker", "--until-idle", *arguments, stdout=StringIO())
