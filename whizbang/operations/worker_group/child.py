"""One worker process, as the process that has started it sees it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Sequence

from whizbang.operations.liveness.pulse import State
from whizbang.operations.liveness.report import Report, parse_report

_MOST_BYTES = 65_536
# It tells every second, by a thread that works whatever its handlers do. A frozen process does not.
_SILENT_SECONDS = 15.0


class Child:
    """Lives until it ends by itself or is told to. Its reports come through a socket, whose end tells it of our death."""

    def __init__(self, command: Sequence[str]) -> None:
        """`command` plus `--child` with the number of the socket."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(
                [*command, "--child", str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )
        self._report = Report(parts={"loop": State.STARTING})
        self._started_at = self._told_at = time.monotonic()
        self.has_worked = False  # a turn went well

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self._started_at

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll()

    def read(self) -> None:
        """Take what it has told since."""
        while (told := self._receive()) is not None:
            self._report, self._told_at = parse_report(json.loads(told)), time.monotonic()
            self.has_worked = self.has_worked or self._report.is_ready

    def report(self, *, stuck_seconds: float) -> Report:
        silent_seconds = time.monotonic() - self._told_at
        is_starting = self._report.state == State.STARTING
        if silent_seconds > (stuck_seconds if is_starting else _SILENT_SECONDS):
            return Report(parts={"process": State.STUCK})
        return self._report

    def stop(self) -> None:
        """In order: it ends after its batch."""
        self._process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Once it has ended."""
        self._socket.close()

    def _receive(self) -> bytes | None:
        try:
            return self._socket.recv(_MOST_BYTES) or None
        except (BlockingIOError, ConnectionError):  # nothing more, or it has ended
            return None
