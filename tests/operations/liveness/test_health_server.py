"""Probes get their answer, whatever others do with the port."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.processes import PATIENCE_SECONDS
from whizbang import WhizbangError
from whizbang.operations.liveness import health_server
from whizbang.operations.liveness.health_server import HealthServer
from whizbang.operations.liveness.pulse import State
from whizbang.operations.liveness.report import Report


class Worker:
    """Its state is what the test says."""

    state = State.OK

    def look(self) -> Report:
        return Report(parts={"loop": self.state})


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def server(worker: Worker) -> Iterator[HealthServer]:
    made = HealthServer(worker.look, host="127.0.0.1", port=0)
    made.start()
    yield made
    made.stop()


def ask(server: HealthServer, path: str, method: str = "GET") -> tuple[int, Any]:
    address = urlsplit(server.address)
    client = http.client.HTTPConnection(address.netloc, timeout=PATIENCE_SECONDS)
    try:
        client.request(method, path)
        response = client.getresponse()
        body = response.read()
        assert response.getheader("Cache-Control") == "no-store"
        return response.status, json.loads(body) if body else None
    finally:
        client.close()


def connect(server: HealthServer) -> socket.socket:
    address = urlsplit(server.address)
    assert address.hostname and address.port
    return socket.create_connection((address.hostname, address.port), timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("state", "live", "ready"),
    [
        (State.STARTING, 200, 503),
        (State.OK, 200, 200),
        (State.FAILING, 200, 503),
        (State.STOPPING, 200, 503),
        (State.STUCK, 503, 503),
        (State.ENDED, 503, 503),
    ],
)
def test_what_helps_is_told_apart(
    server: HealthServer, worker: Worker, state: State, live: int, ready: int
) -> None:
    worker.state = state
    assert (ask(server, "/live")[0], ask(server, "/ready")[0]) == (live, ready)
    assert ask(server, "/ready?from=probe")[1]["parts"] == {"loop": state}
    assert ask(server, "/live", "HEAD") == (live, None)


def test_other_requests_are_refused(server: HealthServer) -> None:
    assert ask(server, "/")[0] == 404
    assert ask(server, "/live", "POST")[0] == 405


def test_slow_clients_hold_nobody_up(server: HealthServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than it keeps, and none is ever shut out by its time."""
    monkeypatch.setattr(health_server, "_MOST_SECONDS", 10 * PATIENCE_SECONDS)
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(server)) for _ in range(40)]
        for client in slow[-3:]:
            client.send(b"GET /live HT")
        assert ask(server, "/live")[0] == 200
        assert is_closed(slow[0])
    assert ask(server, "/live")[0] == 200


def test_slow_client_is_dropped(server: HealthServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_server, "_MOST_SECONDS", 0.05)
    with connect(server) as client:
        assert is_closed(client)


def test_endless_request_is_dropped(server: HealthServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_server, "_MOST_SECONDS", 10 * PATIENCE_SECONDS)
    with connect(server) as client:
        client.sendall(b"GET /live HTTP/1.1\r\nx: " + b"x" * 100_000)
        assert is_closed(client)


def is_closed(client: socket.socket) -> bool:
    """Wait for it."""
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_address_that_is_taken_is_told(server: HealthServer, worker: Worker) -> None:
    port = urlsplit(server.address).port
    assert port
    for host, other in (("127.0.0.1", port), ("192.0.2.1", 0), ("127.0.0.1", 65_536)):
        with pytest.raises(WhizbangError, match="Choose another --health-port"):
            HealthServer(worker.look, host=host, port=other).start()
