"""What became of messages that were put back: handled, dead again, or nothing yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from whizbang.conf import settings
from whizbang.messaging.relay import REFUSED_BY_BROKER
from whizbang.models import DeadLetter, InboxMessage, OutboxMessage

_FAILED = (InboxMessage.Status.FAILED, InboxMessage.Status.EXPIRED)
_GONE = "Its row was cleaned up: nobody can tell what became of it."


class Waiting(NamedTuple):
    """A message that was put back, and where: "inbox" or "outbox"."""

    message_id: str
    where: str


class Outcome(NamedTuple):
    """How it ended, with the error of one that was not handled."""

    is_handled: bool
    error: str = ""


def outcomes_of(items: Sequence[Waiting], *, since: int, using: str) -> dict[Waiting, Outcome]:
    """The outcomes that are known, by two statements for each place; `since` is a letter before all of
    these were put back."""
    inbox = [item for item in items if item.where == "inbox"]
    outbox = [item for item in items if item.where == "outbox"]
    found = _of_inbox(inbox, using) if inbox else {}
    return {**found, **(_of_outbox(outbox, since, using) if outbox else {})}


def _of_inbox(items: Sequence[Waiting], using: str) -> dict[Waiting, Outcome]:
    ids = [UUID(item.message_id) for item in items]
    rows = InboxMessage.objects.using(using).filter(message_id__in=ids, service=settings.SERVICE)
    known = {
        str(id): (status, error)
        for id, status, error in rows.values_list("message_id", "status", "error")
    }
    found: dict[Waiting, Outcome] = {}
    for item in items:
        status, error = known.get(item.message_id, (InboxMessage.Status.FAILED, _GONE))
        if status == InboxMessage.Status.HANDLED:
            found[item] = Outcome(is_handled=True)
        elif status in _FAILED:
            found[item] = Outcome(is_handled=False, error=error)
    return found


def _of_outbox(items: Sequence[Waiting], since: int, using: str) -> dict[Waiting, Outcome]:
    """What the broker has confirmed is beyond this service; what it refused is a newer dead letter."""
    ids = [UUID(item.message_id) for item in items]
    rows = OutboxMessage.objects.using(using).filter(message_id__in=ids)
    published = dict(rows.values_list("message_id", "published_at"))
    letters = DeadLetter.objects.using(using).filter(
        message_id__in=ids, pk__gt=since, reason=REFUSED_BY_BROKER
    )
    refused = dict(letters.values_list("message_id", "error"))
    found: dict[Waiting, Outcome] = {}
    for item in items:
        id = UUID(item.message_id)
        if id in refused:
            found[item] = Outcome(is_handled=False, error=refused[id])
        elif id not in published:
            found[item] = Outcome(is_handled=False, error=_GONE)
        elif published[id] is not None:
            found[item] = Outcome(is_handled=True)
    return found
