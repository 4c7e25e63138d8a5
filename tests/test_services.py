from __future__ import annotations

import socket

import pytest

from tests import conftest
from tests.services import SERVICES, Service


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def missing_service(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    service = Service(name="Nothing", host="127.0.0.1", port=closed_port, variable="NOTHING_HOST")
    monkeypatch.setitem(SERVICES, "nothing", service)
    return "nothing"


def test_service_that_listens_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert Service(name="Some", host="127.0.0.1", port=port, variable="SOME").answers()


def test_missing_service_skips_its_test_and_says_how_to_name_it(
    missing_service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(
        pytest.skip.Exception, match="start it, or say where it is with NOTHING_HOST"
    ):
        conftest.demand(missing_service)


def test_missing_service_fails_its_test_in_ci(
    missing_service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="does not answer"):
        conftest.demand(missing_service)
