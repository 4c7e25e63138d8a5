"""Heal one stream: replay its events into a read model, in place of what they wrote there."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db import transaction

from whizbang.exceptions import WhizbangError
from whizbang.messages.text import error_text
from whizbang.models import ParkedStream, SkippedEvent
from whizbang.operations.replaying import typed_events
from whizbang.operations.sole_writer import HealRefused, Progress, refuse_other_writers
from whizbang.operations.subscriptions import find_projection_named
from whizbang.projections.failing import failing_event
from whizbang.projections.model import ModelProjection
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import Recorded, event_store
from whizbang.subscriptions.checkpoint import hold_writers_still
from whizbang.subscriptions.start import ensure_rows

logger = logging.getLogger(__name__)
_MOST_KEYS = 10_000  # of the rows of one stream; they are held in memory
_MOST_ROUNDS = 5  # of looking for other writers, when the stream gets new keys meanwhile
_CHUNK_EVENTS = 1_000


class HealFailed(WhizbangError):
    """An event of the stream could not be applied; nothing was written. Its cause is what went wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Healed:
    """What a heal did; `rows` and `removed` are None for a projection in free form."""

    projection: str
    stream: str
    events: int
    rows: int | None
    removed: int | None
    was_parked: bool


def heal_stream(
    projection: str,
    stream: str,
    *,
    reason: str = "",
    healed_by: str = "",
    progress: Progress = None,
) -> Healed:
    """Replay one stream with today's code, up to where the projection stands, in one transaction.

    For a ModelProjection the rows to which the stream's events go are written anew. First all events of
    the projection are read, to see that no other stream goes to one of these rows; `progress` is told
    their number now and then. A projection in free form needs `clear_stream(stream)`, which is trusted.
    Skipped events stay left out, edited copies are taken. If the stream was parked it is not any more.
    An inline projection holds up writers during its last step.

    Raises `HealRefused` where another stream writes to a row too, `HealFailed` when an event fails.
    """
    store = event_store()
    definition = find_projection_named(store, projection)
    ensure_rows([definition])
    if isinstance(definition.projection, ModelProjection):
        healed = _heal_rows(definition, stream, progress)
    else:
        healed = _heal_free(definition, stream)
    logger.warning(
        "Stream healed projection=%s stream=%s events=%s by=%s reason=%s",
        projection,
        stream,
        healed.events,
        healed_by,
        reason,
    )
    return healed


def _heal_rows(definition: ProjectionSubscription, stream: str, progress: Progress) -> Healed:
    store = definition.store
    for _ in range(_MOST_ROUNDS):
        head = store.head()
        keys = _keys_of(definition, stream, until=head)
        refuse_other_writers(definition, stream, keys, after=0, until=head, progress=progress)
        with ExitStack() as stack:
            position = _hold(definition, stack)
            if _keys_of(definition, stream, until=position) <= keys:
                refuse_other_writers(definition, stream, keys, after=head, until=position)
                return _replace_rows(definition, stream, keys, position)
    raise HealRefused(
        f"Stream {stream!r} goes to new rows all the time: try again when it is quiet."
    )


def _heal_free(definition: ProjectionSubscription, stream: str) -> Healed:
    clear = getattr(definition.projection, "clear_stream", None)
    if not callable(clear):
        raise HealRefused(
            f"{definition.name!r} is in free form: give it a clear_stream(stream) that removes what one "
            "stream wrote, or rebuild it."
        )
    with ExitStack() as stack:
        position = _hold(definition, stack)
        clear(stream)
        count = 0
        events = _events_of(definition, stream, until=position)
        with _failing_as_heal(definition, stream):
            while chunk := list(islice(events, _CHUNK_EVENTS)):
                definition.projection.apply_batch(chunk, using=definition.using)
                count += len(chunk)
        return _finish(definition, stream, count, rows=None, removed=None)


def _hold(definition: ProjectionSubscription, stack: ExitStack) -> int:
    """Let the projection stand still until the stack ends; gives the position up to which it is."""
    for using in dict.fromkeys((definition.using, definition.store.using)):
        stack.enter_context(transaction.atomic(using=using))
    position = hold_writers_still(definition)
    return definition.store.head() if definition.kind == "inline" else position


def _replace_rows(
    definition: ProjectionSubscription, stream: str, keys: set[Any], position: int
) -> Healed:
    counted = _Counted(_events_of(definition, stream, until=position))
    projection = definition.projection
    with _failing_as_heal(definition, stream):
        folded = projection.fold_all(counted, using=definition.using)
    removed = projection.replace_rows(keys, folded, using=definition.using)
    return _finish(definition, stream, counted.count, rows=len(folded), removed=removed)


def _finish(
    definition: ProjectionSubscription,
    stream: str,
    events: int,
    *,
    rows: int | None,
    removed: int | None,
) -> Healed:
    parked = ParkedStream.objects.using(definition.using)
    gone, _ = parked.filter(subscription=definition.name, stream=stream).delete()
    return Healed(
        projection=definition.name,
        stream=stream,
        events=events,
        rows=rows,
        removed=removed,
        was_parked=bool(gone),
    )


class _Counted:
    """Events that are counted while they are read."""

    def __init__(self, events: Iterable[Recorded]) -> None:
        self._events, self.count = events, 0

    def __iter__(self) -> Iterator[Recorded]:
        for recorded in self._events:
            self.count += 1
            yield recorded


class _failing_as_heal:
    """A block whose errors become `HealFailed`."""

    def __init__(self, definition: ProjectionSubscription, stream: str) -> None:
        self._name, self._stream = definition.name, stream

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, HealFailed):
            raise _failure(self._name, self._stream, error) from error


def _failure(name: str, stream: str, error: Exception) -> HealFailed:
    event = failing_event(error)
    place = f" at version {event.version}, position {event.position}" if event else ""
    return HealFailed(
        f"Stream {stream!r} cannot be healed in {name!r}, nothing is changed: it fails{place} with "
        f"{error_text(error)}"
    )


def _keys_of(definition: ProjectionSubscription, stream: str, *, until: int) -> set[Any]:
    """Keys of the rows that the stream's events go to."""
    keys: set[Any] = set()
    with _failing_as_heal(definition, stream):
        for key, _ in definition.projection.keyed(_events_of(definition, stream, until=until)):
            keys.add(key)
            if len(keys) > _MOST_KEYS:
                raise HealFailed(
                    f"Stream {stream!r} goes to more than {_MOST_KEYS} rows of {definition.name!r}: "
                    "rebuild the projection."
                )
    return keys


def _events_of(
    definition: ProjectionSubscription, stream: str, *, until: int
) -> Iterator[Recorded]:
    """What the projection reads of one stream, without what is skipped."""
    skipped = set(
        SkippedEvent.objects.using(definition.using)
        .filter(subscription=definition.name, stream=stream)
        .values_list("position", flat=True)
    )
    rows = (
        row
        for row in definition.store.driver.read_stream(stream)
        if row.position <= until and row.position not in skipped
    )
    return typed_events(definition, rows)
