"""The worker: durable commands, subscriptions, backfills and redrives in one loop; rebuilds, and what goes to other
services and comes from them, beside it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError, ProgrammingError, connections

from whizbang.conf import settings
from whizbang.drivers.errors import is_lost, is_passing, naming_missing_tables
from whizbang.drivers.sessions import limit_idle_transactions
from whizbang.drivers.wakeups import Listener
from whizbang.messaging.claim_keeper import ClaimKeeper
from whizbang.messaging.nudge import wait_for_nudge, wake
from whizbang.messaging.processing import InboxProcessor
from whizbang.messaging.receiver import Receiver
from whizbang.messaging.relay import Relay
from whizbang.messaging.topology import has_peers
from whizbang.operations.backfilling import BackfillPart
from whizbang.operations.background_part import BackgroundPart, Part
from whizbang.operations.cleanup import CleanupPart
from whizbang.operations.metrics import MetricsPart
from whizbang.operations.rebuild import RebuildPart
from whizbang.operations.redriving import RedrivePart
from whizbang.projections.cached import caches
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.engine import Engine
from whizbang.subscriptions.leases import make_owner
from whizbang.subscriptions.registered import log_readers

logger = logging.getLogger(__name__)


class _Parts:
    """The parts of a worker, which live as long as its database connection."""

    def __init__(self, store: EventStore, name: str, keeper: ClaimKeeper | None) -> None:
        self.inbox = InboxProcessor(store, keeper)
        # A worker that runs turn by turn, as drain() does, waits for what it has begun.
        self.engine = Engine(store, name, in_background=keeper is not None)
        self.rebuilds = RebuildPart(store, name)
        self.backfills = BackfillPart(store, name)
        self.redrives = RedrivePart(store, name)
        self.cleanup = CleanupPart(store, name)
        self.metrics = MetricsPart(store, name)

    def close(self) -> None:
        upkeep = (self.cleanup, self.metrics)
        for part in (self.engine, self.rebuilds, self.backfills, self.redrives, *upkeep):
            part.close()


class _Link:
    """To the other services: a relay and a receiver, turn by turn."""

    def __init__(self, store: EventStore, name: str) -> None:
        self.relay = Relay(store, name)
        self.receiver = Receiver(store, name)

    def close(self) -> None:
        self.relay.close()
        self.receiver.close()


class Worker:
    """Runs all parts of one store in turn, until it is told to stop."""

    def __init__(self, *, store: str = "default", name: str | None = None) -> None:
        self._alias = store
        self.name = name or make_owner()
        self._stop = threading.Event()
        self._parts: _Parts | None = None
        self._link: _Link | None = None
        self._keeper: ClaimKeeper | None = None
        self._has_background = (
            False  # do threads rebuild, and exchange messages with other services?
        )
        self._raw: Any = None  # the driver's connection that the parts and the limits belong to
        self.counts: Counter[str] = Counter()

    @property
    def _using(self) -> str:
        return event_store(self._alias).using

    def stop(self) -> None:
        """End after the batch that runs now; safe to call from a signal handler."""
        self._stop.set()

    def run(self, *, until_idle: bool = False, max_seconds: float | None = None) -> Counter[str]:
        """Work until stopped, until nothing is due any more, or for a time; gives what was done.

        A message that waits for its retry is not due. Raises `NotReady` without our tables.
        """
        deadline = None if max_seconds is None else time.monotonic() + max_seconds
        pause = settings.BUSY_POLL_SECONDS
        self._keeper = ClaimKeeper(self._using)
        listener = Listener(self._using, wake)
        background: list[BackgroundPart] = []
        if not until_idle and max_seconds is None:  # else it ends before it would wait for long
            listener.start()
            caches.preload()
            background = self._start_background()
        try:
            while not self._stop.is_set():
                done = self._run_guarded()
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
            self._stop_background(background)
            listener.stop()
            self._keeper.stop()
            self.close()
        return self.counts

    def run_once(self, *, retries_are_due: bool = False) -> int:
        """One turn of every part; gives how much was done."""
        if self._parts is None:
            self._parts = _Parts(event_store(self._alias), self.name, self._keeper)
        parts = self._parts
        turn = Counter(
            commands=parts.inbox.run_once(retries_are_due=retries_are_due),
            events=parts.engine.run_once(),
            rebuilds=0 if self._has_background else parts.rebuilds.run_once(),
            backfilled=parts.backfills.run_once(is_limited=not retries_are_due),
            redriven=parts.redrives.run_once(is_limited=not retries_are_due),
        )
        if self._link is None and self._must_link():
            self._link = _Link(event_store(self._alias), self.name)
        if self._link is not None:
            turn["relayed"] = self._link.relay.run_once()
            turn["received"] = self._link.receiver.run_once()
        self.counts.update(turn)
        parts.cleanup.run_once()
        parts.metrics.run_once()
        return turn.total()

    def is_idle(self) -> bool:
        """Has every subscription that this worker runs reached the end of the log, and does no rate hold up a
        backfill or a redrive?"""
        parts = self._parts
        if parts is None or parts.engine.is_behind():
            return False
        return not (parts.backfills.is_waiting() or parts.redrives.is_waiting())

    def close(self) -> None:
        """Give leases back."""
        open_parts = [part for part in (self._parts, self._link) if part is not None]
        self._parts = self._link = None
        try:
            for part in open_parts:
                part.close()
        except (OperationalError, InterfaceError) as exc:
            logger.warning("Leases will expire by themselves error=%s", exc)

    def _must_link(self) -> bool:
        return not self._has_background and self._alias == "default" and has_peers()

    def _start_background(self) -> list[BackgroundPart]:
        """Threads for what waits for a broker or takes long: it holds nothing else up."""
        store, name = event_store(self._alias), self.name
        makers: dict[str, Callable[[], Part]] = {"rebuilds": lambda: RebuildPart(store, name)}
        if self._must_link():
            makers["relayed"] = lambda: Relay(store, name)
            makers["received"] = lambda: Receiver(store, name)
        started = [BackgroundPart(kind, make, using=store.using) for kind, make in makers.items()]
        for part in started:
            part.start()
        self._has_background = True
        return started

    def _stop_background(self, started: list[BackgroundPart]) -> None:
        for part in started:
            part.stop()
            self.counts[part.name] += part.count
        self._has_background = False

    def _run_guarded(self) -> int:
        """A turn that survives a database going away: connect again and go on."""
        try:
            self._notice_new_connection()
            return self.run_once()
        except (OperationalError, InterfaceError, ProgrammingError) as exc:
            with naming_missing_tables(self._using):
                if not any(is_passing(exc, using=alias) for alias in self._databases()):
                    raise
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
