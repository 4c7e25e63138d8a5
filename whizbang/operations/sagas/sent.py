"""What became of the commands that a saga has sent: here, on the way to another service, or given up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from whizbang.conf import settings
from whizbang.models import DeadLetter, InboxMessage, OutboxMessage
from whizbang.operations.sagas.facts import facts_of

UNSENT, PUBLISHED, DEAD, GONE = "unsent", "published", "dead", "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """Where a command is.

    `status` is that of its row in this service's inbox; or "unsent" or "published" of one for another
    service, which alone knows the rest; "dead" of a dead letter; "gone" where no row is left, since rows
    are kept for KEEP_HANDLED_DAYS.
    """

    status: str
    service: str = ""  # where it goes; empty where nothing is left that tells
    error: str = ""
    attempts: int = 0
    finished_at: datetime | None = None
    dead_letter: int | None = None


def fates_of(ids: Sequence[UUID], *, using: str) -> dict[UUID, Fate]:
    """The fate of each command, by three statements, however many they are."""
    if not ids:
        return {}
    found = dict(_in_inbox(ids, using))
    missing = [id for id in ids if id not in found]
    found |= dict(_in_outbox(missing, using)) if missing else {}
    letters = DeadLetter.objects.using(using).filter(message_id__in=ids).order_by("pk")
    for letter in letters.only("message_id", "error", "attempts", "died_at"):
        known = found.get(letter.message_id)
        found[letter.message_id] = _dead(letter, known.service if known else "")
    return {id: found.get(id, Fate(status=GONE)) for id in ids}


def _dead(letter: DeadLetter, service: str) -> Fate:
    return Fate(
        status=DEAD,
        service=service,
        error=letter.error,
        attempts=letter.attempts,
        finished_at=letter.died_at,
        dead_letter=letter.pk,
    )


def _in_inbox(ids: Sequence[UUID], using: str) -> Iterable[tuple[UUID, Fate]]:
    rows = InboxMessage.objects.using(using).filter(message_id__in=ids, service=settings.SERVICE)
    names = ("message_id", "status", "service", "error", "attempts", "finished_at")
    for row in rows.only(*names):
        yield row.message_id, facts_of(Fate, row, dead_letter=None)


def _in_outbox(ids: Sequence[UUID], using: str) -> Iterable[tuple[UUID, Fate]]:
    rows = OutboxMessage.objects.using(using).filter(message_id__in=ids)
    for id, service, published_at in rows.values_list("message_id", "service", "published_at"):
        status = UNSENT if published_at is None else PUBLISHED
        yield id, Fate(status=status, service=service, finished_at=published_at)
