"""The process that has started this worker, as the worker sees it."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable

from whizbang.operations.liveness.report import Report

logger = logging.getLogger(__name__)
EXIT_CODE = 70  # EX_SOFTWARE: an orphan whose batch did not end


class Parent:
    """Is told where the worker stands. When it is gone the worker ends, too, by itself or by force.

    SIGKILL leaves a process no chance to stop those that it has started; nobody would watch and stop them any more.
    """

    def __init__(self, descriptor: int, *, stop: Callable[[], None], grace_seconds: float) -> None:
        """`stop` ends the worker after its batch, for which it has `grace_seconds`."""
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._socket.set_inheritable(False)
        self._stop, self._grace_seconds = stop, grace_seconds
        self._lost_at: float | None = None

    def tell(self, report: Report) -> None:
        if self._lost_at is not None:
            self._end_by_force()
            return
        try:
            self._socket.send(json.dumps(report.as_json()).encode())
        except ConnectionError:
            logger.warning("The process that started this worker is gone, ending too")
            self._lost_at = time.monotonic()
            self._stop()
        except OSError as exc:  # its buffer is full: it is frozen
            logger.debug("The process that started this worker does not listen error=%s", exc)

    def close(self) -> None:
        self._socket.close()

    def _end_by_force(self) -> None:
        """The transaction rolls back and leases run out, as after SIGKILL."""
        if self._lost_at is not None and time.monotonic() - self._lost_at > self._grace_seconds:
            logger.critical("The last batch does not end: leaving it to another worker")
            os._exit(EXIT_CODE)
