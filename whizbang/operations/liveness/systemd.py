"""systemd's own protocol: units of `Type=notify` with `WatchdogSec`."""

from __future__ import annotations

import logging
import os
import socket

from whizbang.operations.liveness.pulse import State
from whizbang.operations.liveness.report import Report

logger = logging.getLogger(__name__)


class Systemd:
    """Tells the service manager that started this process; see sd_notify(3)."""

    def __init__(self, address: str) -> None:
        """`address`: a path, or an abstract name that begins with "@"."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._has_begun = False

    def tell(self, report: Report) -> None:
        lines = [f"STATUS={report.state}"]
        if not self._has_begun and report.state != State.STARTING:
            self._has_begun = True
            lines.append("READY=1")
        if report.is_live:
            lines.append("WATCHDOG=1")
        self._send(lines)

    def close(self) -> None:
        self._send(["STOPPING=1"])
        self._socket.close()

    def _send(self, lines: list[str]) -> None:
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as exc:
            logger.warning("systemd was not told error=%s", exc)


def systemd_outlets() -> list[Systemd]:
    """One where systemd has said that it wants to know, else none."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    return [Systemd(address)] if address.startswith(("/", "@")) else []
