"""Commands that are still known: rows of inbox, outbox and dead letters, by their ids or their correlation."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from whizbang.conf import settings
from whizbang.messages.metadata import WireMetadata
from whizbang.models import DeadLetter, InboxMessage, OutboxMessage

MOST_WAITING = 500  # rows of each kind that are looked through by correlation, the newest
_decode = msgspec.json.Decoder(WireMetadata).decode
DEAD, UNSENT, PUBLISHED = "dead", "unsent", "published"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMessage:
    """A command that has a row. `status` is the inbox row's, or dead, unsent or published.

    `cause` and `correlation_id` are None once it was handled: then its metadata are dropped.
    """

    message_id: UUID
    type: str
    service: str  # that handles it
    status: str
    at: datetime | None  # when it was sent, where its id tells
    occurred_at: datetime
    cause: UUID | None = None
    correlation_id: UUID | None = None
    user: str = ""
    error: str = ""
    inbox: int | None = None
    outbox: int | None = None
    dead_letter: int | None = None


def messages_with_ids(ids: Collection[UUID], *, using: str) -> dict[UUID, KnownMessage]:
    """By id, by three statements."""
    if not ids:
        return {}
    wanted = set(ids)
    outbox = OutboxMessage.objects.using(using).filter(message_id__in=wanted, kind="command")
    inbox = InboxMessage.objects.using(using).filter(
        message_id__in=wanted, service=settings.SERVICE
    )
    letters = DeadLetter.objects.using(using).filter(message_id__in=wanted).order_by("pk")
    rows = [*map(_of_outbox, _slim(outbox)), *map(_of_inbox, _slim(inbox))]
    return _by_id([*rows, *map(_of_letter, _slim(letters))])


def messages_of_correlation(correlation_id: UUID, *, using: str) -> dict[UUID, KnownMessage]:
    """Those that wait, or were given up, among the newest of each: no index finds them by correlation."""
    waiting = InboxMessage.objects.using(using).filter(
        finished_at__isnull=True, service=settings.SERVICE
    )
    unsent = OutboxMessage.objects.using(using).filter(published_at__isnull=True, kind="command")
    letters = DeadLetter.objects.using(using)
    found = [
        *map(_of_outbox, _slim(unsent.order_by("-id")[:MOST_WAITING])),
        *map(_of_inbox, _slim(waiting.order_by("-id")[:MOST_WAITING])),
        *map(_of_letter, _slim(letters.order_by("-id")[:MOST_WAITING])),
    ]
    return _by_id([row for row in found if row.correlation_id == correlation_id])


def time_of_id(id: UUID) -> datetime | None:
    """When an id was made: UUIDs of version 7 tell."""
    if id.version != 7:
        return None
    try:
        return datetime.fromtimestamp((id.int >> 80) / 1000, UTC)
    except (OverflowError, OSError, ValueError):  # an id that only looks like one
        return None


def _by_id(rows: Collection[KnownMessage]) -> dict[UUID, KnownMessage]:
    """What is known of each; a dead letter tells last, and its inbox row stays known beside it."""
    found: dict[UUID, KnownMessage] = {}
    for row in rows:
        known = found.get(row.message_id)
        if known is not None:
            row = _joined(known, row)
        found[row.message_id] = row
    return found


def _joined(known: KnownMessage, row: KnownMessage) -> KnownMessage:
    return replace(
        row,
        cause=row.cause or known.cause,
        correlation_id=row.correlation_id or known.correlation_id,
        service=row.service or known.service,
        inbox=row.inbox or known.inbox,
        outbox=row.outbox or known.outbox,
    )


def _slim(rows: Any) -> Iterator[Any]:
    """Without what may be big."""
    big = {"payload", "traceback", "result", "document"}
    return iter(rows.defer(*(f.name for f in rows.model._meta.fields if f.name in big)))


def _of_inbox(row: InboxMessage) -> KnownMessage:
    return _known(row, service=row.service, status=row.status, error=row.error, inbox=row.pk)


def _of_outbox(row: OutboxMessage) -> KnownMessage:
    status = UNSENT if row.published_at is None else PUBLISHED
    return _known(row, service=row.service, status=status, outbox=row.pk)


def _of_letter(row: DeadLetter) -> KnownMessage:
    return _known(row, service="", status=DEAD, error=row.error, dead_letter=row.pk)


def _known(row: Any, **facts: Any) -> KnownMessage:
    meta = _metadata(row.metadata)
    return KnownMessage(
        message_id=row.message_id,
        type=row.type,
        at=time_of_id(row.message_id),
        occurred_at=row.occurred_at,
        cause=None if meta is None else meta.causation_id,
        correlation_id=None if meta is None else meta.correlation_id,
        user="" if meta is None else meta.user or "",
        **facts,
    )


def _metadata(stored: Any) -> WireMetadata | None:
    """None of what was handled, and of what cannot be read."""
    try:
        return None if stored is None else _decode(bytes(stored))
    except msgspec.MsgspecError:
        return None
