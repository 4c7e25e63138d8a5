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
from whizbang.subscriptions.leases import LeaseHolder
from whizbang.subscriptions.registered import all_definitions, log_readers
from whizbang.subscriptions.runner import StaleLease, StoreReplaced, SubscriptionRunner
from whizbang.subscriptions.start import ensure_rows

logger = logging.getLogger(__name__)
_BUFFER_BYTES = 16 * 1024 * 1024
_REFRESH_SECONDS = 0.5
_PUBLISH_SECONDS = 0.5


class Engine:
    """Follows one log and feeds the subscriptions whose leases this worker holds."""

    def __init__(self, store: EventStore, owner: str) -> None:
        self.store = store
        self._owner = owner
        self._leases: dict[str, LeaseHolder] = {}
        definitions = log_readers(store)
        ensure_rows(all_definitions(store))
        store_identity(store)
        decoder = SharedDecoder(store)
        for definition in definitions:
            definition.decode = decoder.decode
        self._runners = [SubscriptionRunner(d) for d in definitions]
        self._start = store.driver.settled_head()
        self._tail = store.driver.tail(after=self._start)
        self._buffer: deque[StoredRow] = deque()
        self._buffer_bytes = 0
        self._refreshed_at = 0.0
        self._published: tuple[int, float] = (-1, 0.0)

    def run_once(self) -> int:
        """Read what is new and apply one batch to each subscription; gives the number applied."""
        self._read()
        done = 0
        must_refresh = time.monotonic() - self._refreshed_at > _REFRESH_SECONDS
        for runner in self._runners:
            done += self._run_guarded(runner, must_refresh)
        if must_refresh:
            self._refreshed_at = time.monotonic()
        return done

    def close(self) -> None:
        for runner in self._runners:
            if runner.epoch >= 0:
                try:
                    runner.settle()
                except StaleLease:
                    logger.info("Lease lost subscription=%s", runner.definition.name)
        for holder in self._leases.values():
            holder.release_all()

    def _read(self) -> None:
        rows = self._tail.read(limit=settings.BATCH_SIZE)
        for row in rows:
            self._buffer.append(row)
            self._buffer_bytes += len(row.payload) + len(row.metadata) + 200
        while self._buffer_bytes > _BUFFER_BYTES or len(self._buffer) > 4 * settings.BATCH_SIZE:
            dropped = self._buffer.popleft()
            self._buffer_bytes -= len(dropped.payload) + len(dropped.metadata) + 200
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

    def _run_guarded(self, runner: SubscriptionRunner, must_refresh: bool) -> int:
        try:
            return self._run(runner, must_refresh)
        except StaleLease as exc:
            logger.info("Subscription left to another worker reason=%s", exc)
            runner.epoch = -1
        except StoreReplaced as exc:
            runner.stop_with(str(exc))
        except ConcurrencyError as exc:
            logger.info("Subscription batch will be tried again reason=%s", exc)
        return 0

    def _run(self, runner: SubscriptionRunner, must_refresh: bool) -> int:
        epoch = self._holder(runner.definition.using).epoch_of(runner.definition.name)
        if epoch is None:
            runner.epoch = -1
            return 0
        if epoch != runner.epoch:
            runner.take_over(epoch)
        elif must_refresh:
            runner.refresh()
        if not runner.is_active:
            return 0
        done = runner.retry_parked() if must_refresh or epoch != runner.epoch else 0
        return done + self._feed(runner)

    def _feed(self, runner: SubscriptionRunner) -> int:
        mark = self._tail.mark
        if runner.position >= mark:
            return 0
        limit = settings.BATCH_SIZE
        if runner.position >= self._start:
            rows = [row for row in self._buffer if row.position > runner.position][:limit]
            upto = mark if len(rows) < limit else rows[-1].position
        else:
            rows = runner.read_alone(until=mark, limit=limit)
            upto = mark if len(rows) < limit else rows[-1].position
        return runner.run(rows, upto)

    def is_behind(self) -> bool:
        """Does any subscription that this worker runs stand before the mark?"""
        mark = self._tail.mark
        return any(r.is_active and r.epoch >= 0 and r.position < mark for r in self._runners)

    def _holder(self, using: str) -> LeaseHolder:
        holder = self._leases.get(using)
        if holder is None:
            holder = self._leases[using] = LeaseHolder(self._owner, using=using)
        return holder
