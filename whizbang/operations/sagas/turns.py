"""What is recorded of an instance, turn by turn: a step with its ending, or what an operator did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from whizbang.messages.metadata import Metadata
from whizbang.sagas.messages import SagaCompleted, SagaFailed, SagaReacted
from whizbang.store.event_store import EventStore, Recorded

_PAGE_EVENTS = 200


class Turn(NamedTuple):
    """An event of the stream, and the one behind it where that ends the saga in the same step.

    `part`: which of the events that a row of the log is read as, where it is split into several.
    """

    event: Any
    meta: Metadata
    ending: Recorded | None
    part: int


def turns_of(store: EventStore, stream: str) -> Iterator[Turn]:
    """In order, page by page, so that nothing of the database is held while a turn is looked at."""
    waiting: Turn | None = None
    for event, meta in _events(store, stream):
        if waiting is not None and isinstance(event, SagaCompleted | SagaFailed):
            yield waiting._replace(ending=Recorded(event, meta))
            waiting = None
            continue
        if waiting is not None:
            yield waiting
        waiting = Turn(event, meta, None, part_of(event, waiting))
    if waiting is not None:
        yield waiting


def _events(store: EventStore, stream: str) -> Iterator[Recorded]:
    after = 0
    while page := list(store.read_stream(stream, after=after, limit=_PAGE_EVENTS)):
        yield from page
        after = page[-1].meta.version


def part_of(event: Any, before: Turn | None) -> int:
    """See `Turn.part`, of an event behind another turn."""
    if before is None or not isinstance(event, SagaReacted):
        return 0
    is_same_row = isinstance(before.event, SagaReacted) and before.event.position == event.position
    return before.part + 1 if is_same_row else 0
