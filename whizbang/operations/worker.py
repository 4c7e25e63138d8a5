"""The worker: durable commands, subscriptions, backfills and redrives in one loop; rebuilds, and what goes to other
services and comes from them, beside it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Collection
from typing import Any

from django.db import InterfaceError, OperationalError, ProgrammingError, connections

from whizbang.conf import settings
from whizbang.drivers.errors import is_lost, is_passing, naming_missing_tables
from whizbang.drivers.sessions import limit_idle_transactions
from whizbang.drivers.wakeups import Listener
from whizbang.messaging.claim_keeper import ClaimKeeper
from whizbang.messaging.nudge import wait_for_nudge, wake
from whizbang.operations.background_part import BackgroundPart
from whizbang.operations.liveness.pulse import Pulse
from whizbang.operations.liveness.report import Report
from whizbang.operations.overview.presence import Presence
from whizbang.operations.worker_parts import (
    ALL,
    PARTS,
    WorkerParts,
    check_parts,
    start_in_background,
)
from whizbang.projections.cached import caches
from whizbang.store.event_store import event_store
from whizbang.subscriptions.leases import make_owner
from whizbang.subscriptions.registered import log_readers

logger = logging.getLogger(__name__)
_STUCK_SECONDS = 300.0  # a turn that takes longer is told as stuck in the list of workers


class Worker:
    """Runs the parts of one store in turn, until it is told to stop."""

    def __init__(
        self,
        *,
        store: str = "default",
        name: str | None = None,
        only: Collection[str] = ALL,
    ) -> None:
        """`only`: names of parts; others are left to other workers. Raises WhizbangError for unknown ones."""
        self._alias, self._only = store, check_parts(only)
        self.name = name or make_owner()
        self._stop = threading.Event()
        self._parts: WorkerParts | None = None
        self._keeper: ClaimKeeper | None = None
        self._is_alone = True  # nothing runs in threads beside the loop
        self._pulse = Pulse()
        self._background: list[BackgroundPart] = []
        self._raw: Any = None  # the driver's connection that the parts and the limits belong to
        self.counts: Counter[str] = Counter()

    @property
    def _using(self) -> str:
        return event_store(self._alias).using

    def stop(self) -> None:
        """End after the batch that runs now; safe to call from a signal handler."""
        self._stop.set()

    def report(self, *, stuck_seconds: float) -> Report:
        """Where the loop stands, and each part beside it; for another thread. A turn of them should not take longer."""
        states = {part.name: part.state(stuck_seconds=stuck_seconds) for part in self._background}
        loop = self._pulse.state(stuck_seconds=stuck_seconds)
        return Report(parts={"loop": loop, **states}, is_stopping=self._stop.is_set())

    def run(self, *, until_idle: bool = False, max_seconds: float | None = None) -> Counter[str]:
        """Work until stopped, until nothing is due any more, or for a time; gives what was done.

        A message that waits for its retry is not due. Raises `NotReady` without our tables.
        """
        deadline = None if max_seconds is None else time.monotonic() + max_seconds
        pause = settings.BUSY_POLL_SECONDS
        self._keeper = ClaimKeeper(self._using)
        listener = Listener(self._using, wake)
        presence = self._presence()
        if not until_idle and max_seconds is None:  # else it ends before it would wait for long
            listener.start()
            caches.preload()
            store = event_store(self._alias)
            self._background = start_in_background(store, self.name, only=self._only)
            self._is_alone = False
            presence.start()
        try:
            while not self._stop.is_set():
                with self._pulse.turn():
                    done = self._run_guarded()
                presence.tell()
                if done:
                    pause = settings.BUSY_POLL_SECONDS
                elif until_idle and self.is_idle():
                    break
                else:
                    wait_for_nudge(pause)
                    pause = min(pause * 1.5, settings.IDLE_POLL_SECONDS)
                if deadline is not None and time.monotonic() >= deadline:
                    break
        finally:
            self._stop_background()
            listener.stop()
            self._keeper.stop()
            presence.stop()
            self.close()
        return self.counts

    def run_once(self, *, retries_are_due: bool = False) -> int:
        """One turn of every part; gives how much was done."""
        if self._parts is None:
            self._parts = WorkerParts(
                event_store(self._alias),
                self.name,
                only=self._only,
                keeper=self._keeper,
                is_turn_by_turn=self._is_alone,
            )
        turn = self._parts.run_once(retries_are_due=retries_are_due)
        self.counts.update(turn)
        return turn.total()

    def is_idle(self) -> bool:
        """Has every subscription that this worker runs reached the end of the log, and does no rate hold up a
        backfill or a redrive?"""
        return self._parts is not None and self._parts.is_idle()

    def close(self) -> None:
        """Give leases back."""
        parts, self._parts = self._parts, None
        if parts is None:
            return
        try:
            parts.close()
        except (OperationalError, InterfaceError) as exc:
            logger.warning("Leases will expire by themselves error=%s", exc)

    def _presence(self) -> Presence:
        return Presence(
            self.name,
            using=self._using,
            parts=[part for part in PARTS if part in self._only],
            state=lambda: self.report(stuck_seconds=_STUCK_SECONDS).state,
        )

    def _stop_background(self) -> None:
        started, self._background = self._background, []
        for part in started:
            part.stop()
            self.counts[PARTS[part.name]] += part.count
        self._is_alone = True

    def _run_guarded(self) -> int:
        """A turn that survives a database going away: connect again and go on."""
        try:
            self._notice_new_connection()
            return self.run_once()
        except (OperationalError, InterfaceError, ProgrammingError) as exc:
            with naming_missing_tables(self._using):
                if not any(is_passing(exc, using=alias) for alias in self._databases()):
                    raise
            self._pulse.fail()
            logger.warning("Database trouble, will try again error=%s", exc)
            if any(map(is_lost, self._databases())):
                self._parts = None
                connections.close_all()
            self._stop.wait(min(1.0, settings.IDLE_POLL_SECONDS))
            return 0

    def _notice_new_connection(self) -> None:
        """Begin anew where one was lost, by a handler's transaction perhaps, and Django made another.

        A server that crashed may lack the last commits that were seen before, where it does not wait for
        its disk; and limits are the session's. Leases are still this worker's: it takes them again.
        """
        connection = connections[self._using]
        connection.ensure_connection()
        if connection.connection is not self._raw:
            self._parts = None
            # Below the lease, so that a frozen worker's locks are gone when it is taken over.
            limit_idle_transactions(self._using, seconds=settings.LEASE_SECONDS * 0.8)
            self._raw = connection.connection

    def _databases(self) -> set[str]:
        """The log's, and those that projections write to."""
        return {self._using, *(d.using for d in log_readers(event_store(self._alias)))}
