"""The worker: durable commands, subscriptions, rebuilds and the relay in one loop."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import Counter
from uuid import uuid4

from django.db import (
    InterfaceError,
    OperationalError,
    ProgrammingError,
    close_old_connections,
    connections,
)

from whizbang.conf import settings
from whizbang.drivers.errors import is_passing, naming_missing_tables
from whizbang.messaging.nudge import wait_for_nudge
from whizbang.messaging.processing import InboxProcessor
from whizbang.messaging.relay import Relay
from whizbang.operations.rebuild import RebuildPart
from whizbang.store.event_store import event_store
from whizbang.subscriptions.engine import Engine

logger = logging.getLogger(__name__)


class Worker:
    """Runs all parts of one store in turn, until it is told to stop."""

    def __init__(self, *, store: str = "default", name: str | None = None) -> None:
        self._alias = store
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._stop = threading.Event()
        self._engine: Engine | None = None
        self._relay: Relay | None = None
        self.counts: Counter[str] = Counter()

    def stop(self) -> None:
        """End after the batch that runs now; safe to call from a signal handler."""
        self._stop.set()

    def run(self, *, until_idle: bool = False, max_seconds: float | None = None) -> Counter[str]:
        """Work until stopped, until nothing is left to do, or for a time; gives counts of what was done."""
        deadline = None if max_seconds is None else time.monotonic() + max_seconds
        pause = settings.BUSY_POLL_SECONDS
        try:
            while not self._stop.is_set():
                done = self._run_guarded()
                if done:
                    pause = settings.BUSY_POLL_SECONDS
                elif until_idle and self._is_idle():
                    break
                else:
                    wait_for_nudge(pause)
                    pause = min(pause * 1.5, settings.IDLE_POLL_SECONDS)
                if deadline is not None and time.monotonic() >= deadline:
                    break
        finally:
            self.close()
        return self.counts

    def run_once(self, *, retries_are_due: bool = False) -> int:
        """One turn of every part; gives how much was done."""
        store = event_store(self._alias)
        if self._engine is None:
            self._engine = Engine(store, self.name)
            self._relay = Relay(store, self.name)
            self._inbox = InboxProcessor(store)
            self._rebuilds = RebuildPart(store, self.name)
        assert self._relay is not None
        turn = Counter(
            commands=self._inbox.run_once(retries_are_due=retries_are_due),
            events=self._engine.run_once(),
            relayed=self._relay.run_once(),
            rebuilds=self._rebuilds.run_once(),
        )
        self.counts.update(turn)
        return turn.total()

    def close(self) -> None:
        """Give leases back."""
        engine, self._engine = self._engine, None
        relay, self._relay = self._relay, None
        try:
            if engine is not None:
                engine.close()
            if relay is not None:
                relay.close()
        except (OperationalError, InterfaceError) as exc:
            logger.warning("Leases will expire by themselves error=%s", exc)

    def _is_idle(self) -> bool:
        return self._engine is not None and not self._engine.is_behind()

    def _run_guarded(self) -> int:
        """A turn that survives the database going away: connect again and go on."""
        try:
            if not connections[event_store(self._alias).using].in_atomic_block:
                close_old_connections()
            return self.run_once()
        except (OperationalError, InterfaceError, ProgrammingError) as exc:
            using = event_store(self._alias).using
            with naming_missing_tables(using):
                if not is_passing(exc, using=using):
                    raise
            logger.warning("Database trouble, will try again error=%s", exc)
            self.close()
            connections.close_all()
            self._stop.wait(min(1.0, settings.IDLE_POLL_SECONDS))
            return 0
