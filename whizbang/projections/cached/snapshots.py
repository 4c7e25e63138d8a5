"""Starting from a snapshot, and taking one now and then. Losing them costs time and nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import msgspec

from whizbang.exceptions import WhizbangError
from whizbang.projections.cached.cache import Cache
from whizbang.projections.cached.contents import Contents
from whizbang.projections.cached.entry_format import EntryFormat
from whizbang.projections.cached.identity import LogIdentity, has_come_to
from whizbang.projections.cached.snapshot_places import (
    DjangoCachePlace,
    Header,
    SnapshotPlace,
    TablePlace,
)
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.leases import LeaseHolder, make_owner

if TYPE_CHECKING:
    from whizbang.projections.cached.projection import CachedProjection

logger = logging.getLogger(__name__)
CHUNK_ENTRIES = 200
_LOOK_SECONDS = 1.0  # between two looks whether a snapshot is due


def place_of(projection: CachedProjection, store: EventStore) -> SnapshotPlace:
    """Where a projection's snapshots are kept."""
    alias = projection.share_through
    return TablePlace(store.using) if alias is None else DjangoCachePlace(alias)


def load(store: EventStore, projection: CachedProjection, identity: LogIdentity) -> Contents | None:
    """Contents as the last snapshot has them; None where none fits today's code and this log."""
    if projection.snapshot_every <= 0:
        return None
    try:
        return _load(store, projection, identity)
    except Exception as exc:
        if projection.share_through is None and not _is_damage(exc):
            raise  # the log's own database is in trouble
        logger.warning("Snapshot ignored projection=%s reason=%s", projection.name, exc)
        return None


def _is_damage(error: Exception) -> bool:
    return isinstance(error, msgspec.MsgspecError | ValueError | TypeError)


def _load(
    store: EventStore, projection: CachedProjection, identity: LogIdentity
) -> Contents | None:
    place, format = place_of(projection, store), EntryFormat(type(projection))
    header = place.find(projection.name)
    if header is None or not _fits(header, projection, format, identity):
        return None
    if header.entry_count > projection.max_entries or not has_come_to(store, header.position):
        return None
    contents = Contents(identity)
    read = 0
    for chunk in place.chunks(header):
        contents.entries.update(format.decode(chunk))
        read += 1
    if read != header.chunk_count or len(contents.entries) != header.entry_count:
        raise ValueError(f"{read} of {header.chunk_count} chunks are there")
    contents.position = header.position
    return contents


def _fits(
    header: Header, projection: CachedProjection, format: EntryFormat, identity: LogIdentity
) -> bool:
    return (
        header.version == projection.version
        and header.fingerprint == format.fingerprint
        and (header.store_id, header.history_change) == identity
    )


class SnapshotWriter:
    """Writes one snapshot in small steps, while events go on to change the contents."""

    def __init__(self, store: EventStore, cache: Cache, contents: Contents) -> None:
        self._projection, self._place = cache.projection, place_of(cache.projection, store)
        self._format = EntryFormat(type(cache.projection))
        # Entries are replaced, never changed, once readers can see them: these stay as they are.
        self._items = list(contents.entries.items())
        self.position, self._identity = contents.position, contents.identity
        self._token: UUID = uuid4()
        self._chunks = 0

    def step(self) -> bool:
        """Write a chunk, or at the end publish; True when that is done. Raises WhizbangError."""
        start = self._chunks * CHUNK_ENTRIES
        items = self._items[start : start + CHUNK_ENTRIES]
        if items:
            payload = self._format.encode(items)
            self._place.put_chunk(self._projection.name, self._token, self._chunks, payload)
            self._chunks += 1
            return False
        self._publish()
        return True

    def _publish(self) -> None:
        assert self._identity is not None
        self._place.publish(
            Header(
                projection=self._projection.name,
                token=self._token,
                version=self._projection.version,
                fingerprint=self._format.fingerprint,
                store_id=self._identity.store_id,
                history_change=self._identity.history_change,
                position=self.position,
                chunk_count=self._chunks,
                entry_count=len(self._items),
            )
        )
        logger.info(
            "Snapshot taken projection=%s position=%s entries=%s",
            self._projection.name,
            self.position,
            len(self._items),
        )


class SnapshotKeeper:
    """Takes the snapshots that are due, where no other process does; one step at a time."""

    def __init__(self, store: EventStore, caches: Callable[[], Sequence[Cache]]) -> None:
        self._store, self._caches = store, caches
        self._leases = LeaseHolder(make_owner(), using=store.using)
        self._writing: tuple[Cache, SnapshotWriter] | None = None
        self._look_at = 0.0

    def step(self) -> int:
        """1 while there is more to do at once."""
        if self._writing is None:
            return self._look()
        cache, writer = self._writing
        self._guard(cache, lambda: self._write(cache, writer))
        return 1

    def _look(self) -> int:
        """Begin the first that is due, now and then."""
        if time.monotonic() < self._look_at:
            return 0
        self._look_at = time.monotonic() + _LOOK_SECONDS
        for cache in self._caches():
            self._guard(cache, lambda cache=cache: self._begin(cache))  # type: ignore[misc]
            if self._writing is not None:
                return 1
        return 0

    def _guard(self, cache: Cache, do: Callable[[], None]) -> None:
        """What fails costs a snapshot; but trouble of the log's own database is the caller's."""
        try:
            do()
        except Exception as exc:
            self._stop_writing()
            if cache.projection.share_through is None and not isinstance(exc, WhizbangError):
                raise
            logger.warning("No snapshot projection=%s reason=%s", cache.projection.name, exc)

    def _write(self, cache: Cache, writer: SnapshotWriter) -> None:
        if self._leases.epoch_of(_lease_of(cache)) is None:
            self._stop_writing()  # another process was quicker; the next snapshot removes our chunks
        elif writer.step():
            cache.snapshot_position = max(writer.position, cache.snapshot_position)
            self._stop_writing()

    def _stop_writing(self) -> None:
        self._writing = None
        self._leases.release_all()

    def close(self) -> None:
        """Give the lease back."""
        self._leases.release_all()

    def _begin(self, cache: Cache) -> None:
        contents = cache.contents
        if contents is None or contents is not cache.held or not _is_due(cache, contents):
            return
        if self._leases.epoch_of(_lease_of(cache)) is None:
            return
        # Counted from here on, whatever comes of it: one that fails is tried after as many events.
        cache.snapshot_at = contents.event_count
        if self._has_newer(cache, contents):
            self._leases.release_all()
        else:
            self._writing = (cache, SnapshotWriter(self._store, cache, contents))

    def _has_newer(self, cache: Cache, contents: Contents) -> bool:
        """Did another process take one since this one counts?"""
        assert contents.identity is not None
        projection = cache.projection
        header = place_of(projection, self._store).find(projection.name)
        if header is None or not _fits(
            header, projection, EntryFormat(type(projection)), contents.identity
        ):
            return False
        is_newer = header.position > cache.snapshot_position
        cache.snapshot_position = max(header.position, cache.snapshot_position)
        return is_newer


def _is_due(cache: Cache, contents: Contents) -> bool:
    """A key that is broken here is to be folded anew by corrected code: then none is taken."""
    every = cache.projection.snapshot_every
    return 0 < every <= contents.event_count - cache.snapshot_at and not (
        contents.broken or contents.unreadable
    )


def _lease_of(cache: Cache) -> str:
    return f"snapshot of {cache.projection.name}"[:200]
