"""Messages for other services that the broker has not confirmed: what waits, for whom, and how long."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Count, Min

from whizbang.drivers.clock import database_now
from whizbang.exceptions import WhizbangError
from whizbang.models import OutboxMessage
from whizbang.store.event_store import event_store

HEAVY = ("payload", "metadata")
MOST_COUNTED = 10_000


class Destination(NamedTuple):
    """What waits for one service, among the oldest that wait."""

    service: str
    messages: int
    oldest_at: datetime


class WaitingOutbox(NamedTuple):
    """What waits by destination, the most first, among the oldest MOST_COUNTED; `is_cut` where there are more.

    `oldest_seconds` is the age of the oldest message; None where nothing waits. `until` is the number of the
    first message that is not among them.
    """

    destinations: list[Destination]
    messages: int
    is_cut: bool
    until: int | None
    oldest_seconds: float | None


def find_outbox_message(id: str | UUID) -> OutboxMessage:
    """The message with this number, or the newest with this message id. Raises WhizbangError."""
    rows, text = OutboxMessage.objects.using(event_store().using), str(id).strip()
    try:
        if text.isascii() and text.isdigit() and len(text) < 19:
            found = rows.filter(pk=int(text)).first()
        else:
            found = rows.filter(message_id=UUID(text)).order_by("-id").first()
    except ValueError as exc:
        raise WhizbangError(
            f"{text!r} is neither the number nor the message id of a message."
        ) from exc
    if found is None:
        raise WhizbangError(f"There is no message {text} in the outbox.")
    return found


def list_outbox(*, service: str = "", after: int = 0, limit: int = 50) -> list[OutboxMessage]:
    """What waits to be sent, the oldest first, without payloads; `after` is the number of the last one seen."""
    rows = _unsent(event_store().using).filter(id__gt=after)
    if service:
        rows = rows.filter(service=service)
    return list(rows.order_by("id")[:limit])


def waiting_outbox() -> WaitingOutbox:
    """How much waits, for whom, and since when; the time it takes does not grow with the outbox."""
    using = event_store().using
    newest = _unsent(using).order_by("id").values_list("id", flat=True)[MOST_COUNTED:][:1].first()
    rows = _unsent(using) if newest is None else _unsent(using).filter(id__lt=newest)
    groups = (
        rows.order_by()
        .values_list("service")
        .annotate(messages=Count("pk"), oldest=Min("occurred_at"))
        .order_by("-messages", "service")
    )
    found = [Destination(*group) for group in groups]
    oldest = _unsent(using).order_by("id").first()
    return WaitingOutbox(
        found,
        sum(group.messages for group in found),
        newest is not None,
        newest,
        None if oldest is None else age_of(oldest),
    )


def age_of(row: OutboxMessage) -> float:
    """Seconds since what the message says has occurred: there is no better measure of how long it waits."""
    now = database_now(row._state.db or event_store().using)
    return max(0.0, (now - row.occurred_at).total_seconds())


def _unsent(using: str) -> Any:
    return OutboxMessage.objects.using(using).filter(published_at__isnull=True).defer(*HEAVY)
