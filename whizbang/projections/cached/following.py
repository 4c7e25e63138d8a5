"""Follows the log of one store for all its caches of this process, on the calling thread's connection."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from whizbang.conf import settings
from whizbang.exceptions import WhizbangError
from whizbang.projections.cached import snapshots
from whizbang.projections.cached.cache import Cache
from whizbang.projections.cached.contents import Contents
from whizbang.projections.cached.identity import has_come_to, read_identity
from whizbang.store.event_store import EventStore

logger = logging.getLogger(__name__)
IDENTITY_SECONDS = 10.0  # between two looks whether history was rewritten


class LogReplaced(WhizbangError):
    """The log is another one than before; caches have to be filled anew."""


class LogFollower:
    """Lives as long as its database connection."""

    def __init__(self, store: EventStore, caches: Callable[[], Sequence[Cache]]) -> None:
        self._store, self._caches = store, caches
        self._identity = read_identity(store)
        self._identity_at = time.monotonic()
        self._tail = store.driver.tail(after=store.driver.settled_head())
        self._checked: set[Cache] = set()

    def turn(self) -> int:
        """Bring all caches a step nearer to the log's end; 0 when they are there."""
        read_at, limit = time.monotonic(), settings.BATCH_SIZE
        self._check_identity(read_at)
        caches = self._caches()
        for cache in caches:
            self._check(cache)
        before = self._tail.mark
        done = sum(cache.catch_up(self._store, before) for cache in caches)
        rows = self._tail.read(limit=limit)
        mark = self._tail.mark
        for cache in caches:
            cache.follow(self._store, rows, mark, after=before)
            cache.show(mark, read_at=read_at, is_end=len(rows) < limit)
        return done + len(rows) + sum(self._is_behind(cache, mark) for cache in caches)

    def _check(self, cache: Cache) -> None:
        """Once a connection: were the contents folded from this log?"""
        if cache in self._checked or cache.is_given_up:
            return
        held = cache.held
        if held is None or held.identity != self._identity or not self._has_log_of(held):
            cache.begin(self._beginning_of(cache))
        self._checked.add(cache)

    def _beginning_of(self, cache: Cache) -> Contents:
        found = snapshots.load(self._store, cache.projection, self._identity)
        return Contents(self._identity) if found is None else found

    def _has_log_of(self, contents: Contents) -> bool:
        return has_come_to(self._store, contents.position)

    def _check_identity(self, now: float) -> None:
        if now - self._identity_at < IDENTITY_SECONDS:
            return
        if read_identity(self._store) != self._identity:
            raise LogReplaced(
                f"The log of store {self._store.alias!r} was rewritten or replaced: caches are filled anew."
            )
        self._identity_at = now

    def _is_behind(self, cache: Cache, mark: int) -> bool:
        held = cache.held
        return held is not None and held.position < mark
