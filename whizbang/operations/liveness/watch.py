"""Tells where a worker stands, every second, to whoever wants to know."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol

from whizbang.operations.liveness.report import Report

TELL_SECONDS = 1.0


class Outlet(Protocol):
    """Where it is told: a file, systemd, the process that has started this one."""

    def tell(self, report: Report) -> None:
        """Never raises for what is away at the other end."""

    def close(self) -> None:
        """The process ends in order."""


class Watch:
    """A thread that tells, for as long as the block lasts; it lives while the worker hangs."""

    def __init__(self, look: Callable[[], Report], outlets: Sequence[Outlet]) -> None:
        self._look, self._outlets = look, outlets
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="whizbang-watch", daemon=True)

    def __enter__(self) -> None:
        if self._outlets:
            self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        if self._outlets:
            self._thread.join()
        for outlet in self._outlets:
            outlet.close()

    def _run(self) -> None:
        while True:
            report = self._look()
            for outlet in self._outlets:
                outlet.tell(report)
            if self._is_over.wait(TELL_SECONDS):
                return
