"""One read of the log for all subscriptions of a worker."""

from __future__ import annotations

import logging
import time
from collections import deque

from django.db.models.functions import Greatest, Now

from whizbang.conf import settings
from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import ConcurrencyError
from whizbang.models import StoreHead
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.decoding import SharedDecoder
from whizbang.subscriptions.identity import store_identity
from whizbang.subscriptions.pool import RunnerPool
from whizbang.subscriptions.registered import all_definitions, log_readers
from whizbang.subscriptions.runner import Misplaced, StaleLease, SubscriptionRunner
from whizbang.subscriptions.start import ensure_rows

logger = logging.getLogger(__name__)
_BUFFER_BYTES = 16 * 1024 * 1024
_REFRESH_SECONDS = 0.5
_PUBLISH_SECONDS = 0.5


class Engine:
    """Follows one log and feeds the partitions whose leases this worker holds."""

    def __init__(self, store: EventStore, owner: str, *, in_background: bool = False) -> None:
        """`in_background`: what waits for other systems does not hold up run_once()."""
        self.store = store
        definitions = log_readers(store)
        ensure_rows(all_definitions(store))
        store_identity(store)
        decoder = SharedDecoder(store)
        for definition in definitions:
            definition.decode = decoder.decode
        self._pools = [
            RunnerPool(
                [d for d in definitions if d.using == using],
                owner,
                using=using,
                in_background=in_background,
            )
            for using in sorted({definition.using for definition in definitions})
        ]
        self._start = store.driver.settled_head()
        self._tail = store.driver.tail(after=self._start)
        self._buffer: deque[StoredRow] = deque()
        self._buffer_bytes = 0
        self._refreshed_at = 0.0
        self._published: tuple[int, float] = (-1, 0.0)

    def run_once(self) -> int:
        """Read what is new and apply one batch to each partition; gives the number applied."""
        self._read()
        is_due = time.monotonic() - self._refreshed_at > _REFRESH_SECONDS
        done = sum(self._run_pool(pool, is_due) for pool in self._pools)
        if is_due:
            self._refreshed_at = time.monotonic()
        return done

    def close(self) -> None:
        for pool in self._pools:
            pool.close()

    @property
    def runners(self) -> list[SubscriptionRunner]:
        """Of all partitions that it knows of, whoever runs them."""
        return [runner for pool in self._pools for runner in pool]

    def _run_pool(self, pool: RunnerPool, is_due: bool) -> int:
        # A worker that runs nothing has nothing better to do than to look for what became free.
        must_refresh = is_due or pool.is_idle
        if must_refresh:
            pool.refresh()
        return sum(self._run_guarded(pool, runner, must_refresh) for runner in list(pool))

    def _read(self) -> None:
        rows = self._tail.read(limit=settings.BATCH_SIZE)
        for row in rows:
            self._buffer.append(row)
            self._buffer_bytes += row.size
        while self._buffer_bytes > _BUFFER_BYTES or len(self._buffer) > 4 * settings.BATCH_SIZE:
            dropped = self._buffer.popleft()
            self._buffer_bytes -= dropped.size
            self._start = dropped.position
        self._publish_head()

    def _publish_head(self) -> None:
        mark, now = self._tail.mark, time.monotonic()
        if now - self._published[1] < _PUBLISH_SECONDS:
            return
        StoreHead.objects.using(self.store.using).filter(id=1).update(
            position=Greatest("position", mark), published_at=Now()
        )
        self._published = (mark, now)

    def _run_guarded(self, pool: RunnerPool, runner: SubscriptionRunner, must_refresh: bool) -> int:
        try:
            return self._run(pool, runner, must_refresh)
        except StaleLease as exc:
            logger.info("Subscription left to another worker reason=%s", exc)
            runner.give_up()
        except Misplaced as exc:
            runner.stop_with(str(exc))
        except ConcurrencyError as exc:
            logger.info("Subscription batch will be tried again reason=%s", exc)
        return 0

    def _run(self, pool: RunnerPool, runner: SubscriptionRunner, must_refresh: bool) -> int:
        if not pool.holds(runner) or not runner.is_active:
            return 0
        done = runner.retry_parked() if must_refresh else 0
        going = runner.go_on()
        return done + (self._feed(runner) if going is None else going)

    def _feed(self, runner: SubscriptionRunner) -> int:
        mark = self._tail.mark
        if runner.position >= mark:
            runner.settle_at_leisure()
            return 0
        if runner.position < self._start:
            return runner.run(*runner.read_ahead(until=mark))
        limit = settings.BATCH_SIZE
        rows = [row for row in self._buffer if row.position > runner.position][:limit]
        return runner.run(rows, mark if len(rows) < limit else rows[-1].position)

    def is_behind(self) -> bool:
        """Does any partition that this worker runs stand before the mark, and does not wait for a system
        that is down?"""
        mark = self._tail.mark
        return any(
            r.is_active and r.epoch >= 0 and r.position < mark and not r.is_waiting
            for r in self.runners
        )
