"""The thread that keeps the caches of one store current in this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from django.db import connections

from whizbang.conf import settings
from whizbang.drivers.sleeper import Sleeper
from whizbang.messaging import nudge
from whizbang.projections.cached.cache import Cache
from whizbang.projections.cached.following import LogFollower, LogReplaced
from whizbang.projections.cached.snapshots import SnapshotKeeper
from whizbang.store.event_store import event_store

logger = logging.getLogger(__name__)
_FIRST_RETRY_SECONDS = 0.1
_LONGEST_RETRY_SECONDS = 5.0
_STOP_SECONDS = 10.0


class FollowerThread:
    """Follows one store on a database connection of its own, and connects again when that is lost."""

    def __init__(self, alias: str, caches: Callable[[], Sequence[Cache]]) -> None:
        self._alias, self._caches = alias, caches
        self._using = event_store(alias).using
        self._sleeper = Sleeper(self._using)
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"whizbang-cache-{alias}", daemon=True
        )
        self.error: str | None = None  # that keeps it from reading the log
        self.kept: object = None  # the connection, which a forked process must not close

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive() and not self._stop.is_set()

    def start(self) -> None:
        self._thread.start()
        nudge.wakers.append(self.wake)

    def wake(self) -> None:
        """Look at the log now."""
        self._sleeper.wake()

    def stop(self) -> None:
        """End the thread after the step at hand, and close its connection."""
        self._stop.set()
        self.detach()
        self._sleeper.wake()
        self._thread.join(_STOP_SECONDS)
        if not self._thread.is_alive():
            self._sleeper.close()

    def detach(self) -> None:
        """Nobody wakes it any more."""
        if self.wake in nudge.wakers:
            nudge.wakers.remove(self.wake)

    def _run(self) -> None:
        retry = _FIRST_RETRY_SECONDS
        while not self._stop.is_set():
            try:
                self._follow()
            except LogReplaced as exc:
                logger.warning("Caches are filled anew reason=%s", exc)
            except Exception as exc:
                # Whatever it is, readers are told by StaleCache; caches that stop silently would be worse.
                self.error = f"{type(exc).__name__}: {exc}".strip()
                logger.warning("Caches are not kept current, will try again error=%s", self.error)
                self._close_connections()
                self._stop.wait(retry)
                retry = min(retry * 2, _LONGEST_RETRY_SECONDS)
            else:
                retry = _FIRST_RETRY_SECONDS
        self._close_connections()

    def _follow(self) -> None:
        self.kept = connections[self._using]
        store = event_store(self._alias)
        follower, keeper = LogFollower(store, self._caches), SnapshotKeeper(store, self._caches)
        pause = settings.BUSY_POLL_SECONDS
        while not self._stop.is_set():
            if follower.turn() + keeper.step():
                pause = settings.BUSY_POLL_SECONDS
                continue
            self.error = None
            if self._sleeper.sleep(pause):
                pause = settings.BUSY_POLL_SECONDS
            else:
                pause = min(pause * 1.5, settings.IDLE_POLL_SECONDS)
        keeper.close()

    def _close_connections(self) -> None:
        try:
            connections.close_all()
        except Exception as exc:
            logger.info("Closing a broken connection failed error=%s", exc)
