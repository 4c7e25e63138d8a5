"""A worker's row, by which others see that it is there."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Collection

from django.db import DatabaseError, InterfaceError, connections

import whizbang
from whizbang.conf import settings
from whizbang.drivers.clock import database_now
from whizbang.models import WorkerProcess

logger = logging.getLogger(__name__)
TELL_SECONDS = 5.0


class Presence:
    """Writes the row every few seconds, and removes it when the worker ends in order.

    The worker's loop tells, on its connection. While a turn of it takes long, a thread does (`start`), on a
    connection that it does not keep: so a worker that hangs is told of too, and one that is frozen is not.
    """

    def __init__(
        self,
        name: str,
        *,
        using: str,
        parts: Collection[str],
        state: Callable[[], str],
        tell_seconds: float = TELL_SECONDS,
    ) -> None:
        self._name, self._using, self._state = name, using, state
        self._parts = " ".join(parts)
        self._tell_seconds = min(tell_seconds, settings.LEASE_SECONDS / 6)
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._next_at = 0.0

    def start(self) -> None:
        """Be told of while the loop is busy."""
        self._thread = threading.Thread(
            target=self._stand_in, name="whizbang-presence", daemon=True
        )
        self._thread.start()

    def tell(self) -> None:
        """Write the row when it is time. Never raises for a database that is away."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + self._tell_seconds
        try:
            self._write()
        except (DatabaseError, InterfaceError) as exc:
            logger.warning("Presence not told, will try again error=%s", exc)

    def stop(self) -> None:
        """The worker ends in order."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
        try:
            WorkerProcess.objects.using(self._using).filter(name=self._name).delete()
        except (DatabaseError, InterfaceError) as exc:
            logger.warning("Presence is forgotten in a day worker=%s error=%s", self._name, exc)

    def _stand_in(self) -> None:
        while not self._is_over.wait(self._tell_seconds):
            if time.monotonic() < self._next_at + self._tell_seconds:
                continue  # the loop tells
            try:
                self.tell()
            finally:
                connections[self._using].close()

    def _write(self) -> None:
        rows = WorkerProcess.objects.using(self._using)
        state, now = self._state(), database_now(self._using)
        if rows.filter(name=self._name).update(state=state, seen_at=now):
            return
        row = WorkerProcess(
            name=self._name,
            service=settings.SERVICE[:100],
            host=socket.gethostname()[:100],
            process_id=os.getpid(),
            parts=self._parts[:200],
            code_version=whizbang.__version__,
            state=state,
            started_at=now,
            seen_at=now,
        )
        rows.bulk_create([row], ignore_conflicts=True)
