"""Tells telemetry of appends and of new messages, and lets what is made carry their context."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import msgspec

from whizbang.drivers.telemetry import names, telemetry
from whizbang.drivers.telemetry.base import Counter, Subject
from whizbang.drivers.telemetry.operations import Operation, OperationType, subject_of, telling
from whizbang.exceptions import ConcurrencyError
from whizbang.messages.envelope import Envelope
from whizbang.store.event_store import EventStore

CONFLICTS = Counter("whizbang.append.conflicts", "{conflict}", "Appends that others came before")


@contextmanager
def telling_append(
    store: EventStore, streams: Iterable[str], *, count: int, subjects: Iterable[Subject] = ()
) -> Iterator[str | None]:
    """Around one append of events to these streams; gives the traceparent for events without their own."""
    operation = Operation(
        name="append",
        type=OperationType.CREATE,
        destination=_only({_category_of(stream) for stream in streams}),
        details={names.STORE: store.alias},
    )
    try:
        with telling(operation, subjects, count=count) as traceparent:
            yield traceparent
    except ConcurrencyError as exc:
        where = {names.DESTINATION: _category_of(exc.stream), names.STORE: store.alias}
        telemetry.add(CONFLICTS, 1, where)
        raise


def telling_creation(envelopes: Sequence[Envelope]) -> AbstractContextManager[str | None]:
    """Around storing messages for workers or for the relay."""
    operation = Operation(
        name="create",
        type=OperationType.CREATE,
        destination=_only({type(e.message).__whizbang__.type_name for e in envelopes}),
    )
    return telling(operation, map(subject_of_envelope, envelopes), count=len(envelopes))


def subject_of_envelope(envelope: Envelope) -> Subject:
    meta = envelope.metadata
    details = {names.MESSAGE_TYPE: meta.type}
    return subject_of(meta.message_id, meta.correlation_id, meta.traceparent, **details)


def carry(traceparent: str | None, envelopes: Collection[Envelope]) -> None:
    """Let messages carry the context that they are made in, unless they come from several traces.

    Those of a batch keep the contexts of the messages that caused them, else each trace would end here.
    """
    if traceparent is None or len({e.metadata.traceparent for e in envelopes}) > 1:
        return
    for envelope in envelopes:
        envelope.metadata = msgspec.structs.replace(envelope.metadata, traceparent=traceparent)


def _category_of(stream: str) -> str:
    return stream.partition("-")[0]


def _only(found: Collection[str]) -> str:
    """The one that there is, else nothing: a name of several would not be low in cardinality."""
    return next(iter(found)) if len(found) == 1 else ""
