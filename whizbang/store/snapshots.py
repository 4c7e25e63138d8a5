"""Snapshots: a cache of aggregates' states, one a stream. Deleting them costs time and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from django.db import connections, transaction

from whizbang.domain.aggregate import Aggregate
from whizbang.drivers.errors import naming_missing_tables
from whizbang.drivers.execution import executor_of
from whizbang.drivers.rows import rows_of
from whizbang.models import Snapshot
from whizbang.store.snapshot_format import StateFormat, state_format

if TYPE_CHECKING:
    from whizbang.drivers.stores.base import StateRow
    from whizbang.store.event_store import EventStore

logger = logging.getLogger(__name__)
_FIND = "SELECT version, state FROM whizbang_snapshot WHERE stream = %s AND fingerprint = %s"


class Found(NamedTuple):
    """A snapshot that today's code has made."""

    version: int
    state: bytes


def find_snapshot(store: EventStore, cls: type[Aggregate], stream: str) -> Found | None:
    """The snapshot of a stream, None where there is none that today's code has made."""
    kept = state_format(cls)
    if kept is None:
        return None
    with naming_missing_tables(store.using):
        executor = executor_of(connections[store.using])
        row = executor.execute(_FIND, [stream, kept.fingerprint]).fetchone()
    return None if row is None else Found(row[0], bytes(row[1]))


def find_snapshots(
    store: EventStore, cls: type[Aggregate], streams: Iterable[str]
) -> dict[str, Found]:
    """See find_snapshot(); of several streams with one statement."""
    kept = state_format(cls)
    if kept is None:
        return {}
    rows = Snapshot.objects.using(store.using).filter(
        stream__in=list(streams), fingerprint=kept.fingerprint
    )
    found = rows.values_list("stream", "version", "state")
    return {stream: Found(version, bytes(state)) for stream, version, state in found}


def restore(
    store: EventStore, aggregate: Aggregate, found: Found, *, until: int | None
) -> Iterator[StateRow] | None:
    """Give a blank aggregate the state of a snapshot; the events behind it, or None if it is no good.

    The snapshot's own event is read too, and must be there: a snapshot of events that are gone would
    let a writer leave a hole in the stream.
    """
    kept = state_format(type(aggregate))
    if kept is None or (until is not None and until < found.version):
        return None
    rows = store.driver.read_state(aggregate.stream, after=found.version - 1, until=until)
    own = next(rows, None)
    if own is None or own[0] != found.version:
        logger.warning("Snapshot ahead of its stream stream=%s", aggregate.stream)
        return None
    return rows if _decode(kept, aggregate, found) else None


def _decode(kept: StateFormat, aggregate: Aggregate, found: Found) -> bool:
    try:
        kept.restore(aggregate, found.state)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        logger.warning("Snapshot ignored stream=%s reason=%s", aggregate.stream, exc)
        return False
    aggregate.version = found.version
    return True


def is_due(aggregate: Aggregate, appended: int) -> bool:
    """Did the last append reach another multiple of `snapshot_every`?"""
    every, version = aggregate.snapshot_every, aggregate.version
    return every > 0 and version // every > (version - appended) // every


def take_after_commit(store: EventStore, aggregate: Aggregate) -> None:
    """Take a snapshot once the caller's transaction has committed; a failure is logged."""
    cls, id = type(aggregate), aggregate.id
    transaction.on_commit(lambda: take_snapshot(store, cls, id), using=store.using, robust=True)


def take_snapshot(store: EventStore, cls: type[Aggregate], id: str) -> bool:
    """Keep an aggregate's state as its events give it; False where it cannot be kept exactly.

    It is loaded anew: the object that a handler has used may hold what no event says.
    """
    kept = state_format(cls)
    if kept is None:
        return False
    aggregate = store.load(cls, id)
    state = kept.encode(aggregate)
    if state is None:
        logger.warning(
            "No snapshot: the state does not survive JSON, or has attributes without annotation "
            "stream=%s",
            aggregate.stream,
        )
        return False
    _store(store.using, aggregate, kept.fingerprint, state)
    return True


def _store(using: str, aggregate: Aggregate, fingerprint: str, state: bytes) -> None:
    snapshot = Snapshot(
        stream=aggregate.stream,
        version=aggregate.version,
        fingerprint=fingerprint,
        state=state,
        taken_at=datetime.now(UTC),
    )
    rows_of(Snapshot, Snapshot._meta.pk, using).upsert([snapshot])
