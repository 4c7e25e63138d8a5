"""The process that starts workers, and starts again those that die."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Sequence

from whizbang.exceptions import WhizbangError
from whizbang.operations.liveness.pulse import Pulse, State
from whizbang.operations.liveness.report import Report
from whizbang.operations.worker_group.child import Child
from whizbang.subscriptions.outage import Outage

logger = logging.getLogger(__name__)
_LOOK_SECONDS = 0.2
_STEADY_SECONDS = 10.0  # who lives so long begins anew when it dies
_MOST_FALSE_STARTS = 5  # in a row


class WorkersFailed(WhizbangError):
    """Workers cannot start, or have ended with an error."""


class WorkerGroup:
    """Keeps a number of worker processes running until it is told to stop."""

    def __init__(self, command: Sequence[str], *, count: int, is_lasting: bool = True) -> None:
        """`is_lasting`: a worker that ends is started again, and not taken to have done its work."""
        self._places = [_Place(command, is_lasting=is_lasting) for _ in range(count)]
        self._is_stopping = threading.Event()
        self._pulse = Pulse()

    def stop(self) -> None:
        """Let all end after the batches that run now; safe to call from a signal handler."""
        self._is_stopping.set()

    def report(self, *, stuck_seconds: float) -> Report:
        """For another thread."""
        return Report(
            parts={"group": self._pulse.state(stuck_seconds=stuck_seconds)},
            processes=[place.report(stuck_seconds=stuck_seconds) for place in self._places],
            is_stopping=self._is_stopping.is_set(),
        )

    def run(self) -> None:
        """Until stopped, or until all have ended where they are not lasting.

        Raises `WorkersFailed` when one cannot start, after stopping the others, or has ended with an error.
        """
        try:
            while not self._is_stopping.is_set() and not all(p.is_done for p in self._places):
                with self._pulse.turn():
                    for place in self._places:
                        place.look()
                self._is_stopping.wait(_LOOK_SECONDS)
        finally:
            self._end()
        failed = [place.failure for place in self._places if place.failure]
        if failed:
            raise WorkersFailed(f"{len(failed)} of {len(self._places)} workers: {failed[0]}")

    def _end(self) -> None:
        """Wait for the last batches, however long they take: who started us knows how long that may be."""
        self._is_stopping.set()
        for place in self._places:
            place.stop()
        while any(place.is_running() for place in self._places):
            time.sleep(_LOOK_SECONDS)


class _Place:
    """Where one worker after the other runs."""

    def __init__(self, command: Sequence[str], *, is_lasting: bool) -> None:
        self._command, self._is_lasting = command, is_lasting
        self._child: Child | None = None
        self._outage = Outage()
        self._false_starts = 0
        self._is_stopping = False
        self.is_done = False
        self.failure = ""  # why its last worker is not what it should be

    def report(self, *, stuck_seconds: float) -> Report:
        child = self._child
        if child is None:  # until the next one is started
            return Report(parts={"process": State.FAILING})
        return child.report(stuck_seconds=stuck_seconds)

    def look(self) -> None:
        """Start a worker where there is none, once it may be tried again. Raises `WorkersFailed`."""
        if not self.is_running() and not self.is_done and self._outage.may_try():
            self._child = Child(self._command)
            logger.info("Worker process started pid=%s", self._child.pid)

    def is_running(self) -> bool:
        """Look whether it still does. Raises `WorkersFailed` when it is not the first one to end too soon."""
        child = self._child
        if child is None:
            return False
        child.read()
        if child.exit_code is None:
            return True
        child.close()
        self._child = None
        self._note_end(child)
        return False

    def stop(self) -> None:
        self._is_stopping = True
        if self._child is not None and self._child.exit_code is None:
            self._child.stop()

    def _note_end(self, child: Child) -> None:
        how = f"process {child.pid} ended with {child.exit_code}"
        if self._is_stopping or not self._is_lasting:
            self.is_done = True
            # A signal ends one that has not got as far as to wait for it.
            if child.exit_code not in ((0, -signal.SIGTERM) if self._is_stopping else (0,)):
                self.failure = how
            return
        logger.warning(
            "Worker ended, another takes its place pid=%s code=%s", child.pid, child.exit_code
        )
        if child.has_worked and child.age_seconds > _STEADY_SECONDS:
            self._outage.note_success()
        self._outage.note_failure()
        self._false_starts = 0 if child.has_worked else self._false_starts + 1
        if self._false_starts >= _MOST_FALSE_STARTS:
            raise WorkersFailed(
                f"Workers cannot start: {how}, as {_MOST_FALSE_STARTS - 1} before it. What they wrote says why."
            )
