"""A file, and systemd: what they are told, and what they are not."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest import LogCaptureFixture, MonkeyPatch

from whizbang import WhizbangError
from whizbang.operations.liveness.health_file import HealthFile
from whizbang.operations.liveness.pulse import State
from whizbang.operations.liveness.report import Report
from whizbang.operations.liveness.systemd import systemd_outlets

OK, STARTING, STUCK = (
    Report(parts={"loop": state}) for state in (State.OK, State.STARTING, State.STUCK)
)


def test_file_is_replaced_as_a_whole_and_gone_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "health"
    file = HealthFile(str(path))
    assert not path.exists()
    file.tell(OK)
    first = path.stat()
    assert json.loads(path.read_text()) == {
        "state": "ok",
        "live": True,
        "ready": True,
        "parts": {"loop": "ok"},
    }
    file.tell(OK)
    assert path.stat().st_ino != first.st_ino
    file.close()
    assert list(tmp_path.iterdir()) == []


def test_file_of_a_stuck_worker_says_so_and_grows_old(tmp_path: Path) -> None:
    path = tmp_path / "health"
    file = HealthFile(str(path))
    file.tell(STUCK)
    assert json.loads(path.read_text())["state"] == "stuck"
    os.utime(path, (0, 0))
    file.tell(STUCK)
    assert path.stat().st_mtime == 0
    file.tell(OK)
    assert path.stat().st_mtime > 0
    assert json.loads(path.read_text())["live"] is True


def test_file_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent" / "health"):
        with pytest.raises(WhizbangError, match="cannot be written"):
            HealthFile(str(path))


def test_file_that_cannot_be_written_later_is_told_and_stops_nothing(
    tmp_path: Path, caplog: LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = HealthFile(str(folder / "health"))
    folder.rmdir()
    file.tell(OK)
    file.close()
    assert "Health file not written" in caplog.text


@pytest.fixture
def service_manager(monkeypatch: MonkeyPatch) -> Iterator[socket.socket]:
    """systemd's end, under an abstract name as it uses in containers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")  # the kernel chooses a name
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + manager.getsockname()[1:].decode())
        manager.setblocking(False)
        yield manager


def test_systemd_hears_of_the_start_of_life_and_of_the_end(service_manager: socket.socket) -> None:
    (systemd,) = systemd_outlets()
    told = []
    for report in (STARTING, OK, OK, STUCK):
        systemd.tell(report)
        told.append(service_manager.recv(1000).decode().split("\n"))
    systemd.close()
    assert told == [
        ["STATUS=starting", "WATCHDOG=1"],
        ["STATUS=ok", "READY=1", "WATCHDOG=1"],
        ["STATUS=ok", "WATCHDOG=1"],
        ["STATUS=stuck"],
    ]
    assert service_manager.recv(1000) == b"STOPPING=1"


def test_systemd_that_is_gone_is_no_trouble(
    service_manager: socket.socket, caplog: LogCaptureFixture
) -> None:
    (systemd,) = systemd_outlets()
    service_manager.close()
    systemd.tell(OK)
    systemd.close()
    assert "systemd was not told" in caplog.text


@pytest.mark.parametrize("address", ["", "vsock:2:1234"])
def test_nobody_is_told_where_nobody_listens(address: str, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert systemd_outlets() == []
