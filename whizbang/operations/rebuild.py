"""Rebuilding a projection from history, beside the live one, published in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from whizbang.drivers.errors import is_conflict
from whizbang.drivers.stores.base import LogFilter, StoredRow
from whizbang.exceptions import DecodeError, UnknownMessageType, WhizbangError
from whizbang.messages.text import error_text, traceback_text
from whizbang.models import ParkedStream, Rebuild, Subscription
from whizbang.projections.failing import FailingEvent, failing_event, mark_failing
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import EventStore, Recorded, event_store
from whizbang.subscriptions.checkpoint import hold_still
from whizbang.subscriptions.identity import store_identity
from whizbang.subscriptions.known_types import unknown_types
from whizbang.subscriptions.leases import LeaseHolder, make_owner
from whizbang.subscriptions.parking import park
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.start import ensure_rows

logger = logging.getLogger(__name__)
Status = Rebuild.Status
_LEASE = "whizbang.rebuild"
_OPEN = (Status.REQUESTED, Status.RUNNING)
_MOST_POISONED = 20  # streams that a rebuild may leave out; each costs another fold
_MOST_CONFLICTS = 5  # that end a rebuild's transaction before it counts as failed
_REPORT_EVENTS = 10_000  # between two looks at the lease
_MOST_MESSAGE = 2_000  # characters of an error's text that are kept


class RebuildFailed(WhizbangError):
    """A rebuild stopped with an error; the old rows are still there. Its cause is what went wrong."""

    def __init__(self, run: Rebuild, error: Exception) -> None:
        self.run, self.error = run, error
        super().__init__(f"Rebuild {run.pk} of {run.projection} failed: {_describe(error)}")


class RebuildTakenOver(WhizbangError):
    """Another worker does a rebuild that this one was at; nothing was written here."""


def request_rebuild(name: str, *, requested_by: str = "", reason: str = "") -> tuple[Rebuild, bool]:
    """Ask for a rebuild, which a worker does; gives the run, and whether it is a new one.

    A projection has one open run at most: who asks again gets that one, False, and the first one's
    reason stays. Raises WhizbangError for a projection that does not exist or cannot be rebuilt.
    """
    store = event_store()
    find_projection(store, name)
    try:
        return _request_new(store, name, requested_by, reason), True
    except IntegrityError:
        found = open_rebuild(store, name)
    if found is not None:
        return found, False
    # The one that was in the way has ended in between.
    return _request_new(store, name, requested_by, reason), True


def _request_new(store: EventStore, name: str, requested_by: str, reason: str) -> Rebuild:
    with transaction.atomic(using=store.using):
        return Rebuild.objects.using(store.using).create(
            projection=name, requested_by=requested_by, reason=reason
        )


def open_rebuild(store: EventStore, name: str) -> Rebuild | None:
    """The run of a projection that is requested or running."""
    return Rebuild.objects.using(store.using).filter(projection=name, status__in=_OPEN).first()


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
        except RebuildFailed as exc:
            logger.error(
                "Rebuild failed id=%s projection=%s", run.pk, run.projection, exc_info=exc.error
            )
        except RebuildTakenOver as exc:
            logger.warning("Rebuild left to another worker reason=%s", exc)
        finally:
            self._leases.release_all()
        return 1

    def close(self) -> None:
        self._leases.release_all()

    def _open_runs(self) -> Any:
        rows = Rebuild.objects.using(self.store.using)
        return rows.filter(status__in=_OPEN).order_by("id")


def rebuild_here(run: Rebuild) -> Rebuild:
    """Do a requested rebuild in this process, as a worker would.

    Where a worker was quicker it gives what that one did. Raises WhizbangError while a worker is at a
    rebuild, `RebuildFailed` when it fails here.
    """
    store = event_store()
    leases = LeaseHolder(make_owner(), using=store.using)
    if leases.epoch_of(_LEASE) is None:
        raise WhizbangError(
            f"A worker does a rebuild just now: rebuild {run.pk} of {run.projection} is its next."
        )
    try:
        run.refresh_from_db(using=store.using)
        if run.status == Status.FAILED:
            raise WhizbangError(f"A worker was quicker, and failed: {run.error}")
        return rebuild(store, run, leases) if run.status in _OPEN else run
    finally:
        leases.release_all()


def rebuild(store: EventStore, run: Rebuild, leases: LeaseHolder | None = None) -> Rebuild:
    """Fold all history, then lock the live projection, fold the tail and replace its rows.

    Readers see the old rows until the commit. A run whose worker died begins again. An event that
    cannot be applied parks its stream, as it does live; the rest is folded without that stream's
    later events. `leases` is renewed while the fold goes on.

    Raises `RebuildFailed` once the run is marked so, and `RebuildTakenOver`.
    """
    try:
        return _rebuild(store, run, leases)
    except RebuildTakenOver:
        raise
    except Exception as exc:
        Rebuild.objects.using(store.using).filter(pk=run.pk).update(
            status=Status.FAILED, error=_story_of(exc), finished_at=Now()
        )
        raise RebuildFailed(run, exc) from exc


def _describe(error: Exception) -> str:
    return error_text(error)[:_MOST_MESSAGE]


def _story_of(error: Exception) -> str:
    """What went wrong in the first line, for lists, and below where."""
    return f"{_describe(error)}\n\n{traceback_text(error)}"


def _rebuild(store: EventStore, run: Rebuild, leases: LeaseHolder | None) -> Rebuild:
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
    """Fold again without each stream that fails; an inline projection may not leave any out.

    Also after a deadlock or the like with those who write to the same rows.
    """
    poisoned: dict[str, tuple[FailingEvent, Exception]] = {}
    conflicts = 0
    while True:
        try:
            with ExitStack() as stack:
                replay = _Replay(store, definition, run, stack, poisoned, leases)
                _refill(definition, replay)
                _finish(definition, replay, poisoned)
            return replay
        except Exception as exc:
            if is_conflict(exc) and conflicts < _MOST_CONFLICTS:
                conflicts += 1
                logger.info("Rebuild begins again projection=%s error=%s", definition.name, exc)
                continue
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
        self._row: StoredRow | None = None  # that is being decoded
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
        hold_still(self._definition)
        if self._definition.kind == "inline":
            self._store.driver.hold_appends()
        self.head = self._store.head()

    def _read(self, after: int, until: int, *, reports: bool) -> Iterator[Recorded]:
        types = LogFilter(types=sorted(self._definition.type_names or ()))
        rows = self._store.driver.read_log(after=after, until=until, limit=None, filter=types)
        wanted = self._definition.event_types
        try:
            for recorded in self._store.typed(self._pass(rows, reports=reports)):
                if type(recorded.event) in wanted:
                    yield recorded
        except (DecodeError, UnknownMessageType) as exc:
            assert self._row is not None
            mark_failing(exc, self._store.decode_metadata(self._row))
            raise

    def _pass(self, rows: Iterable[StoredRow], *, reports: bool) -> Iterator[StoredRow]:
        """Rows that are not left out, counted."""
        for row in rows:
            poison = self._poisoned.get(row.stream) if self._poisoned else None
            if poison is not None and row.position >= poison[0].position:
                continue
            self._row = row
            yield row
            self.count += 1
            if reports and self.count % _REPORT_EVENTS == 0:
                self._report(row.position)

    def _report(self, position: int) -> None:
        Rebuild.objects.using(self._store.using).filter(pk=self._run.pk).update(
            events=self.count, position=position
        )
        if self._leases is not None and self._leases.epoch_of(_LEASE) is None:
            raise RebuildTakenOver(f"Rebuild {self._run.pk} was taken over.")


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
        position=replay.head,
        version=definition.version,
        fingerprint=definition.fingerprint,
        # The rows follow from this store now, whatever log they came from before.
        store_id=store_identity(definition.store).store_id,
        error="",
    )
