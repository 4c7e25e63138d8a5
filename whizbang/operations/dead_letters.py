"""Dead letters: handle them once more."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.exceptions import WhizbangError
from whizbang.messaging.nudge import nudge_after_commit
from whizbang.models import DeadLetter, InboxMessage
from whizbang.store.event_store import event_store


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


def retry_dead_letter(pk: int) -> InboxMessage:
    """Put a dead letter back into the inbox, with its attempts counted from the start.

    It does not expire any more: who redrives it wants it handled. Raises WhizbangError when it is not there any more.
    """
    using = event_store().using
    with transaction.atomic(using=using):
        letter = DeadLetter.objects.using(using).select_for_update().filter(pk=pk).first()
        if letter is None:
            raise WhizbangError(f"Dead letter {pk} is gone: somebody has retried or discarded it.")
        rows = InboxMessage.objects.using(using).filter(
            message_id=letter.message_id, service=settings.SERVICE
        )
        rows.update(
            status=InboxMessage.Status.STORED,
            payload=letter.payload,
            metadata=letter.metadata,
            attempts=0,
            available_at=Now(),
            expires_at=None,
            finished_at=None,
        )
        row = rows.first()
        if row is None:
            raise WhizbangError(
                f"The inbox row of dead letter {pk} was cleaned up: publish it anew."
            )
        letter.delete()
        nudge_after_commit(using)
    return row
