"""Messages to handle: finding one, and listing what waits, page by page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.drivers.clock import database_now
from whizbang.exceptions import WhizbangError
from whizbang.messaging.due import waiting_priorities
from whizbang.models import InboxMessage
from whizbang.store.event_store import event_store

Status = InboxMessage.Status
OPEN = (Status.STORED, Status.RUNNING, Status.RETRYING)
HEAVY = ("payload", "metadata", "result", "traceback")
_MOST_AHEAD = 1_000


class Due(NamedTuple):
    """A place in what is due later, to go on behind it."""

    at: datetime
    id: int


def find_inbox_message(id: str | UUID) -> InboxMessage:
    """The message with this number or message id. Raises WhizbangError.

    One that this service handles comes before the receipt of one that another service handles.
    """
    rows = InboxMessage.objects.using(event_store().using)
    text = str(id).strip()
    try:
        is_number = text.isascii() and text.isdigit() and len(text) < 19
        found = rows.filter(pk=int(text)) if is_number else rows.filter(message_id=UUID(text))
    except ValueError as exc:
        raise WhizbangError(
            f"{text!r} is neither the number nor the message id of a message."
        ) from exc
    messages = sorted(found[:10], key=lambda row: row.service != settings.SERVICE)
    if not messages:
        raise WhizbangError(f"There is no message {text} in the inbox: perhaps it was cleaned up.")
    return messages[0]


def list_inbox(
    *,
    statuses: Iterable[str] = (),
    type: str = "",
    before: int | None = None,
    limit: int = 50,
) -> list[InboxMessage]:
    """The newest first, without payloads; `before` is the number of the last one of the page before."""
    rows = InboxMessage.objects.using(event_store().using).defer(*HEAVY).order_by("-id")
    wanted = list(statuses)
    if wanted:
        rows = rows.filter(status__in=wanted)
        if set(wanted) <= set(OPEN):
            rows = rows.filter(finished_at__isnull=True)  # for the index of those
    if type:
        rows = rows.filter(type=type)
    if before is not None:
        rows = rows.filter(id__lt=before)
    return list(rows[:limit])


def list_scheduled(*, after: Due | None = None, limit: int = 50) -> list[InboxMessage]:
    """What this service handles later, the soonest first, without payloads: delayed messages, retries, and what
    waits for a rate limit.

    One range of the index for each priority.
    """
    using = event_store().using
    found: list[InboxMessage] = []
    for priority in waiting_priorities(using):
        rows = _waiting(using).filter(priority=priority, available_at__gt=Now())
        if after is not None:
            later = Q(available_at__gt=after.at) | Q(available_at=after.at, id__gt=after.id)
            rows = rows.filter(later, available_at__gte=after.at)
        found += rows.order_by("available_at", "id")[:limit]
    return sorted(found, key=lambda row: (row.available_at, row.pk))[:limit]


def ahead_of(row: InboxMessage, *, limit: int = 1) -> list[InboxMessage]:
    """Messages of the same ordering key that are handled before this one, the earliest first."""
    return list(_of_key(row).filter(id__lt=row.pk).order_by("id")[:limit])


def count_behind(row: InboxMessage) -> int:
    """How many messages of the same ordering key wait behind this one; a thousand at most."""
    found: int = _of_key(row).filter(id__gt=row.pk).order_by()[:_MOST_AHEAD].count()
    return found


def why_it_waits(row: InboxMessage) -> str:
    """In words; empty for one that is due, or that does not wait."""
    if row.finished_at is not None or row.status == Status.RUNNING:
        return ""
    if row.available_at > database_now(row._state.db or event_store().using):
        if row.status == Status.RETRYING:
            return "waits for its retry"
        if row.token_at is not None and row.token_at == row.available_at:
            return "waits for its rate limit"
        return "scheduled"
    first = next(iter(ahead_of(row)), None)
    if first is None:
        return ""
    return f"waits behind message {first.pk} ({first.status}) of its ordering key"


def _waiting(using: str) -> Any:
    rows = InboxMessage.objects.using(using).defer(*HEAVY)
    return rows.filter(
        finished_at__isnull=True,
        service=settings.SERVICE,
        status__in=(Status.STORED, Status.RETRYING),
    )


def _of_key(row: InboxMessage) -> Any:
    rows = InboxMessage.objects.using(row._state.db or event_store().using)
    if row.ordering_key is None:
        return rows.none()
    return rows.filter(service=row.service, ordering_key=row.ordering_key).defer(*HEAVY)
