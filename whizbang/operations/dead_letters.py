"""Dead letters: handle them once more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.drivers.brokers.base import Kind, Malformed
from whizbang.drivers.brokers.cloudevents import from_structured
from whizbang.exceptions import WhizbangError
from whizbang.messaging.nudge import nudge_after_commit
from whizbang.messaging.receiving import store_again
from whizbang.messaging.relay import REFUSED_BY_BROKER
from whizbang.models import DeadLetter, InboxMessage, OutboxMessage
from whizbang.store.event_store import EventStore, event_store


def dead_letters() -> Iterator[DeadLetter]:
    """All dead letters, oldest first, in bounded memory."""
    rows = DeadLetter.objects.using(event_store().using).order_by("pk")
    return rows.defer("payload", "metadata", "traceback").iterator(chunk_size=500)


def find_dead_letter(id: str) -> DeadLetter:
    """The newest dead letter with this number or message id. Raises WhizbangError."""
    rows = DeadLetter.objects.using(event_store().using).order_by("-pk")
    try:
        found = rows.filter(pk=int(id)) if id.isdigit() else rows.filter(message_id=UUID(id))
    except ValueError as exc:
        raise WhizbangError(
            f"{id!r} is neither the number nor the message id of a dead letter."
        ) from exc
    letter = found.first()
    if letter is None:
        raise WhizbangError(
            f"There is no dead letter {id}: `manage.py whizbang deadletters` lists them."
        )
    return letter


class Redriven(NamedTuple):
    """What became of a dead letter: `row` is its message in the inbox, None where it went elsewhere."""

    message_id: UUID
    type: str
    where: str
    row: InboxMessage | None = None

    def __str__(self) -> str:
        return f"{self.type} {self.message_id} is in the {self.where} again"


def retry_dead_letter(pk: int) -> Redriven:
    """Put a dead letter back where it was given up, with its attempts counted from the start.

    It does not expire any more: who redrives it wants it handled. Raises WhizbangError when it is not
    there any more, or can still not be stored.
    """
    store = event_store()
    with transaction.atomic(using=store.using):
        letter = DeadLetter.objects.using(store.using).select_for_update().filter(pk=pk).first()
        if letter is None:
            raise WhizbangError(f"Dead letter {pk} is gone: somebody has retried or discarded it.")
        if letter.document is None:
            done = _handle_again(letter, store.using)
        elif letter.reason == REFUSED_BY_BROKER:
            done = _send_again(letter, store.using)
        else:
            done = _receive_again(letter, store)
        letter.delete()
        nudge_after_commit(store.using)
    return done


def _receive_again(letter: DeadLetter, store: EventStore) -> Redriven:
    try:
        message = from_structured(bytes(letter.document or b""))
    except Malformed as exc:
        raise WhizbangError(
            f"Dead letter {letter.pk} cannot be read ({exc}): let its sender send it anew."
        ) from exc
    store_again(store, message)
    where = "log" if message.kind is Kind.EVENT else "inbox"
    return Redriven(letter.message_id, letter.type, where)


def _send_again(letter: DeadLetter, using: str) -> Redriven:
    rows = OutboxMessage.objects.using(using).filter(message_id=letter.message_id)
    if not rows.update(published_at=None):
        raise WhizbangError(
            f"The outbox row of dead letter {letter.pk} was cleaned up: publish it anew."
        )
    return Redriven(letter.message_id, letter.type, "outbox")


def _handle_again(letter: DeadLetter, using: str) -> Redriven:
    rows = InboxMessage.objects.using(using).filter(
        message_id=letter.message_id, service=settings.SERVICE
    )
    changed = rows.update(
        status=InboxMessage.Status.STORED,
        payload=letter.payload,
        metadata=letter.metadata,
        attempts=0,
        available_at=Now(),
        expires_at=None,
        finished_at=None,
    )
    if not changed:
        raise WhizbangError(
            f"The inbox row of dead letter {letter.pk} was cleaned up: publish it anew."
        )
    return Redriven(letter.message_id, letter.type, "inbox", rows.get())
