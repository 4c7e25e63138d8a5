"""One cached projection in this process: its contents, and whether they may be read."""

from __future__ import annotations

import logging
import threading
import time
from asyncio import _get_running_loop
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from whizbang.drivers.stores.base import LogFilter, StoredRow
from whizbang.exceptions import (
    DecodeError,
    StaleCache,
    UnknownMessageType,
    WhizbangError,
    WrongMode,
)
from whizbang.projections.cached import by_hand
from whizbang.projections.cached.contents import Batch, Contents
from whizbang.projections.failing import FailingEvent
from whizbang.store.event_store import EventStore, stored_names

if TYPE_CHECKING:
    from whizbang.projections.cached.identity import LogIdentity
    from whizbang.projections.cached.projection import CachedProjection

logger = logging.getLogger(__name__)
FILL_PAGE_EVENTS = 2000  # of one cache at a time, so that the others stay current meanwhile
_LOOK_SECONDS = 60.0  # how often a reader without a bound sees to it that somebody follows the log


class Cache:
    """Readers ask `readable()`; who follows the log fills it. One thread at a time may follow."""

    def __init__(self, projection: CachedProjection) -> None:
        self.projection = projection
        self.contents: Contents | None = None  # what readers see
        self._filling: Contents | None = None  # what will take its place
        self._failure = ""
        self.current_at: float | None = None  # monotonic: all that was settled then is in
        self.good_until = 0.0  # monotonic: readers need not look before
        self.is_filled = threading.Event()
        self.snapshot_at = 0  # events that were applied when a snapshot was last thought of
        self.snapshot_position = 0  # of the newest snapshot that is known
        self._routes = projection.make_routes()
        self.type_names = sorted(stored_names(projection.event_types()))
        self._names = frozenset(self.type_names)

    # For readers

    def readable(self) -> Contents:
        """The contents. Raises `StaleCache`, and WhizbangError when it had to give up."""
        contents = self.contents
        if contents is not None and time.monotonic() < self.good_until:
            return contents
        return self._look()

    def _look(self) -> Contents:
        from whizbang.projections.cached import caches

        self._refuse_failure()
        if not self.is_filled.is_set():
            self._refuse_event_loop()
        caches.ensure_followed(self)
        self._wait_filled()
        self._refuse_failure()
        contents, current_at = self.contents, self.current_at
        assert contents is not None and current_at is not None
        bound = self.projection.max_staleness_seconds
        age = time.monotonic() - current_at
        if bound is not None and age >= bound and time.monotonic() >= self.good_until:
            raise StaleCache(
                f"{self.projection.name} was last known to be current {age:.1f} s ago, and may be "
                f"{bound:g} s old: {caches.trouble_of(self)}."
            )
        return contents

    def _refuse_event_loop(self) -> None:
        if _get_running_loop() is not None:
            raise WrongMode(
                f"{self.projection.name} is not filled yet, and waiting would block the event loop: call "
                f"`await {type(self.projection).__name__}.astart()` before."
            )

    def _wait_filled(self) -> None:
        from whizbang.projections.cached import caches

        seconds = self.projection.fill_timeout_seconds
        if not self.is_filled.wait(seconds):
            raise StaleCache(
                f"{self.projection.name} is not filled after {seconds:g} s, it stands at position "
                f"{self.position}: {caches.trouble_of(self)}."
            )

    def _refuse_failure(self) -> None:
        if self._failure:
            raise WhizbangError(self._failure)

    @property
    def position(self) -> int | None:
        """Up to which all is applied; None before the first event is read."""
        contents = self.contents or self._filling
        return None if contents is None else contents.position

    def staleness_seconds(self) -> float | None:
        at = self.current_at
        return None if at is None or by_hand.is_by_hand else time.monotonic() - at

    def is_current(self) -> bool:
        return self.contents is not None and time.monotonic() < self.good_until

    def broken_keys(self) -> dict[Any, str]:
        contents = self.contents
        if contents is None:
            return {}
        return {
            key: f"{failure.event.type} at position {failure.event.position}: {failure.error}"
            for key, failure in list(contents.broken.items())
        }

    # For who follows the log

    @property
    def is_given_up(self) -> bool:
        return bool(self._failure)

    @property
    def held(self) -> Contents | None:
        return self._filling or self.contents

    def begin(self, contents: Contents) -> None:
        """Fill anew from here; readers go on with what they have."""
        self._filling = contents
        self.snapshot_at, self.snapshot_position = 0, contents.position

    def forget_follower(self) -> None:
        """In a forked process: the contents stay, but nobody keeps them current yet."""
        self._filling = None
        self.good_until = 0.0
        self.is_filled = threading.Event()

    def catch_up(self, store: EventStore, mark: int) -> int:
        """A page of what it lacks up to the mark; gives the number of events."""
        contents = self.held
        if contents is None or self._failure or contents.position >= mark:
            return 0
        rows = list(
            store.driver.read_log(
                after=contents.position,
                until=mark,
                limit=FILL_PAGE_EVENTS,
                filter=LogFilter(types=self.type_names),
            )
        )
        self._apply(store, rows, rows[-1].position if len(rows) == FILL_PAGE_EVENTS else mark)
        return len(rows)

    def follow(
        self, store: EventStore, rows: Sequence[StoredRow], mark: int, *, after: int
    ) -> None:
        """Apply what a tail has handed out between two marks, unless it still lacks earlier events."""
        contents = self.held
        if contents is None or self._failure or not after <= contents.position < mark:
            return
        wanted = [r for r in rows if r.position > contents.position and r.type in self._names]
        self._apply(store, wanted, mark)

    def show(self, mark: int, *, read_at: float, is_end: bool) -> None:
        """Let readers have what is complete; `is_end`: the log had no more at `read_at`."""
        contents = self.held
        if contents is None or self._failure or contents.position < mark:
            return
        if self._filling is not None:
            self.contents, self._filling = contents, None
        if is_end or self.current_at is None:
            self.current_at = read_at
            bound = self.projection.max_staleness_seconds
            self.good_until = read_at + (_LOOK_SECONDS if bound is None else bound)
        self.is_filled.set()

    def _apply(self, store: EventStore, rows: Sequence[StoredRow], upto: int) -> None:
        contents = self.held
        assert contents is not None
        is_shared = contents is self.contents
        batch = Batch(self.projection, self._routes, contents, is_shared=is_shared)
        try:
            for row in rows:
                _fold(store, batch, row)
        except BaseException:
            self._filling = None  # its entries may have been changed in place: fill anew
            raise
        try:
            batch.publish(upto)
        except WhizbangError as exc:
            self._give_up(str(exc))

    def _give_up(self, reason: str) -> None:
        """Nothing that could be read would be right any more; the memory is given back."""
        logger.error("Cache given up reason=%s", reason)
        self._failure = reason
        self.contents = self._filling = None
        self.good_until = 0.0
        self.is_filled.set()

    def is_folded_from(self, identity: LogIdentity) -> bool:
        contents = self.held
        return contents is not None and contents.identity == identity


def _fold(store: EventStore, batch: Batch, row: StoredRow) -> None:
    try:
        found = store.decode(row)
    except (DecodeError, UnknownMessageType) as exc:
        batch.leave_out(FailingEvent(row.stream, row.position, row.version, row.type), exc)
        return
    for recorded in found:
        batch.apply(recorded)
