"""A tick: a worker's share of some seconds, begun again and again by a scheduler such as Celery's."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Collection

from django.db import DatabaseError, connections

from whizbang.conf import settings
from whizbang.drivers.errors import naming_missing_tables
from whizbang.operations.worker import Worker
from whizbang.operations.worker_parts import ALL
from whizbang.store.event_store import event_store
from whizbang.subscriptions.leases import LeaseHolder

logger = logging.getLogger(__name__)


class Tick:
    """Works unless another tick of the same parts does. Schedulers start the next one whether the last has ended or not."""

    def __init__(
        self, *, store: str = "default", only: Collection[str] = ALL, slot: int = 1
    ) -> None:
        """`slot`: ticks of different slots work beside each other, as several workers do."""
        self._worker = Worker(store=store, only=only)
        self._using = event_store(store).using
        self._lease = f"whizbang.tick {settings.SERVICE} {','.join(sorted(only))} {slot}"
        self._leases = LeaseHolder(self._worker.name, using=self._using)

    def run(
        self, *, until_idle: bool = False, max_seconds: float | None = None
    ) -> Counter[str] | None:
        """Give what was done, see Worker.run(); None where another tick is at it, which may be a killed one's lease."""
        with naming_missing_tables(self._using):
            is_mine = self._leases.epoch_of(self._lease) is not None
        if not is_mine:
            logger.info("Another tick is at work lease=%s", self._lease)
            return None
        is_over = threading.Event()
        keeper = threading.Thread(
            target=self._keep_lease, args=(is_over,), name="whizbang-tick", daemon=True
        )
        keeper.start()
        try:
            return self._worker.run(until_idle=until_idle, max_seconds=max_seconds)
        finally:
            is_over.set()
            keeper.join()
            self._release()

    def _keep_lease(self, is_over: threading.Event) -> None:
        """Renew it in a thread, since a handler or a rebuild may take longer than it holds."""
        try:
            while not is_over.wait(settings.LEASE_SECONDS / 3):
                if not self._renew():
                    logger.warning("Another tick took over, ending lease=%s", self._lease)
                    self._worker.stop()
                    return
        finally:
            connections[self._using].close()

    def _renew(self) -> bool:
        try:
            return self._leases.epoch_of(self._lease) is not None
        except DatabaseError as exc:
            logger.warning("Lease not renewed, will try again error=%s", exc)
            connections[self._using].close()
            return True

    def _release(self) -> None:
        try:
            self._leases.release_all()
        except DatabaseError as exc:
            logger.warning("Lease will expire by itself lease=%s error=%s", self._lease, exc)
