"""Rebuilding a projection from history, beside the live one, published in one transaction."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from whizbang.drivers.stores.base import LogFilter, StoredRow
from whizbang.exceptions import UnknownMessageType, WhizbangError
from whizbang.messages.text import storable_text
from whizbang.models import ParkedStream, Rebuild, Subscription
from whizbang.projections.failing import FailingEvent, failing_event, mark_failing
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import EventStore, Recorded, event_store
from whizbang.subscriptions.known_types import unknown_types
from whizbang.subscriptions.leases import LeaseHolder
from whizbang.subscriptions.parking import park
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.start import ensure_rows

logger = logging.getLogger(__name__)
Status = Rebuild.Status
_LEASE = "whizbang.rebuild"
_MOST_POISONED = 20  # streams that a rebuild may leave out; each costs another fold


def request_rebuild(name: str, *, requested_by: str = "", reason: str = "") -> Rebuild:
    """Ask for a rebuild; a worker does it. Gives the open one when there is one already.

    Raises WhizbangError for a projection that does not exist or cannot be rebuilt.
    """
    store = event_store()
    find_projection(store, name)
    rows = Rebuild.objects.using(store.using)
    try:
        with transaction.atomic(using=store.using):
            return rows.create(projection=name, requested_by=requested_by, reason=reason)
    except IntegrityError:
        return rows.get(projection=name, status__in=(Status.REQUESTED, Status.RUNNING))


def find_projection(store: EventStore, name: str) -> ProjectionSubscription:
    """A rebuildable projection by its name. Raises WhizbangError with the names there are."""
    found = {d.name: d for d in all_definitions(store) if isinstance(d, ProjectionSubscription)}
    if name not in found:
        raise WhizbangError(
            f"No projection {name!r}: there are {', '.join(sorted(found)) or 'none'}."
        )
    if not found[name].projection.is_rebuildable:
        raise WhizbangError(
            f"Projection {name!r} cannot be rebuilt: give it a clear() that empties what it wrote."
        )
    return found[name]


def refuse_unknown_types(store: EventStore) -> None:
    """Raise `UnknownMessageType` when the log holds events that no installed app defines.

    A rebuild would leave them out, and the read model would lose what they say.
    """
    unknown = unknown_types(store)
    if unknown:
        raise UnknownMessageType(", ".join(unknown), "in the log")


class RebuildPart:
    """Does one requested rebuild at a time, under a lease."""

    def __init__(self, store: EventStore, owner: str) -> None:
        self.store = store
        self._leases = LeaseHolder(owner, using=store.using)

    def run_once(self) -> int:
        run = self._open_runs().first()
        if run is None or self._leases.epoch_of(_LEASE) is None:
            return 0
        try:
            rebuild(self.store, run, self._leases)
        except Exception as exc:
            logger.exception("Rebuild failed projection=%s", run.projection)
            Rebuild.objects.using(self.store.using).filter(pk=run.pk).update(
                status=Status.FAILED,
                error=storable_text("".join(traceback.format_exception(exc)))[-20_000:],
                finished_at=Now(),
            )
        finally:
            self._leases.release_all()
        return 1

    def close(self) -> None:
        self._leases.release_all()

    def _open_runs(self) -> Any:
        rows = Rebuild.objects.using(self.store.using)
        return rows.filter(status__in=(Status.REQUESTED, Status.RUNNING)).order_by("id")


def rebuild(store: EventStore, run: Rebuild, leases: LeaseHolder | None = None) -> Rebuild:
    """Fold all history, then lock the live projection, fold the tail and replace its rows.

    Readers see the old rows until the commit. A run whose worker died begins again. An event that
    cannot be applied parks its stream, as it does live; the rest is folded without that stream's
    later events. `leases` is renewed while the fold goes on.
    """
    definition = find_projection(store, run.projection)
    refuse_unknown_types(store)
    ensure_rows([definition])
    Rebuild.objects.using(store.using).filter(pk=run.pk).update(
        status=Status.RUNNING, started_at=Now(), events=0
    )
    replay = _fold_without_poison(store, definition, run, leases)
    Rebuild.objects.using(store.using).filter(pk=run.pk).update(
        status=Status.DONE,
        events=replay.count,
        rows=replay.row_count,
        position=replay.head,
        finished_at=Now(),
        error="",
    )
    run.refresh_from_db(using=store.using)
    return run


def _fold_without_poison(
    store: EventStore,
    definition: ProjectionSubscription,
    run: Rebuild,
    leases: LeaseHolder | None,
) -> _Replay:
    """Fold again without each stream that fails; an inline projection may not leave any out."""
    poisoned: dict[str, tuple[FailingEvent, Exception]] = {}
    while True:
        try:
            with ExitStack() as stack:
                replay = _Replay(store, definition, run, stack, poisoned, leases)
                _refill(definition, replay)
                _finish(definition, replay, poisoned)
            return replay
        except Exception as exc:
            event = failing_event(exc)
            if event is None or event.stream in poisoned or definition.kind == "inline":
                raise
            if len(poisoned) >= _MOST_POISONED:
                raise
            logger.warning(
                "Rebuild leaves a stream out projection=%s stream=%s position=%s error=%s",
                definition.name,
                event.stream,
                event.position,
                exc,
            )
            poisoned[event.stream] = (event, exc)


class _Replay:
    """History up to the head without a lock, then the rest under it."""

    def __init__(
        self,
        store: EventStore,
        definition: ProjectionSubscription,
        run: Rebuild,
        stack: ExitStack,
        poisoned: dict[str, tuple[FailingEvent, Exception]],
        leases: LeaseHolder | None,
    ) -> None:
        self._store, self._definition, self._run, self._stack = store, definition, run, stack
        self._poisoned, self._leases = poisoned, leases
        self.head = 0
        self.count = 0
        self.row_count = 0

    def __iter__(self) -> Iterator[Recorded]:
        head = self._store.head()
        yield from self._read(0, head, reports=True)
        self.lock()
        yield from self._read(head, self.head, reports=False)

    def lock(self) -> None:
        """From here on the live projection stands still, until the transaction ends."""
        using = self._definition.using
        self._stack.enter_context(transaction.atomic(using=using))
        Subscription.objects.using(using).select_for_update().get(name=self._definition.name)
        if self._definition.kind == "inline":
            self._store.driver.hold_appends()
        self.head = self._store.head()

    def _read(self, after: int, until: int, *, reports: bool) -> Iterator[Recorded]:
        wanted = LogFilter(types=sorted(self._definition.type_names or ()))
        rows = self._store.driver.read_log(after=after, until=until, limit=None, filter=wanted)
        for row in rows:
            poison = self._poisoned.get(row.stream)
            if poison is not None and row.position >= poison[0].position:
                continue
            yield from self._decode(row)
            self.count += 1
            if reports and self.count % 10_000 == 0:
                self._report(row.position)

    def _decode(self, row: StoredRow) -> list[Recorded]:
        try:
            return self._definition.read([row])
        except Exception as exc:
            mark_failing(exc, self._store.decode_metadata(row))
            raise

    def _report(self, position: int) -> None:
        Rebuild.objects.using(self._store.using).filter(pk=self._run.pk).update(
            events=self.count, position=position
        )
        if self._leases is not None and self._leases.epoch_of(_LEASE) is None:
            raise WhizbangError("Another worker has taken this rebuild over.")


def _refill(definition: ProjectionSubscription, replay: _Replay) -> None:
    projection = definition.projection
    if hasattr(projection, "fold_all"):
        rows = projection.fold_all(replay, using=definition.using)
        projection.replace_all(rows, using=definition.using)
        replay.row_count = len(rows)
        return
    replay.lock()
    projection.clear()
    for chunk in _chunks(replay._read(0, replay.head, reports=False), 1000):
        projection.apply_batch(chunk, using=definition.using)


def _chunks(items: Iterator[Recorded], size: int) -> Iterator[list[Recorded]]:
    chunk: list[Recorded] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _finish(
    definition: ProjectionSubscription,
    replay: _Replay,
    poisoned: dict[str, tuple[FailingEvent, Exception]],
) -> None:
    """Move the checkpoint with the rows; what was parked is in the history, or parked anew."""
    ParkedStream.objects.using(definition.using).filter(subscription=definition.name).delete()
    for event, error in poisoned.values():
        park(definition.name, event, error, using=definition.using)
    Subscription.objects.using(definition.using).filter(name=definition.name).update(
        position=replay.head, version=definition.version
    )
