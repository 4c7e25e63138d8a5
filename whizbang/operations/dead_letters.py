"""Dead letters: look at them, handle them once more, or discard them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Max
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.drivers.brokers.base import BrokerMessage, Kind, Malformed
from whizbang.drivers.brokers.cloudevents import from_structured
from whizbang.exceptions import WhizbangError
from whizbang.messaging.nudge import nudge_after_commit
from whizbang.messaging.receiving import store_again
from whizbang.messaging.relay import REFUSED_BY_BROKER
from whizbang.models import DeadLetter, InboxMessage, OutboxMessage
from whizbang.operations.audit import record_action
from whizbang.operations.letter_filter import LetterFilter
from whizbang.sagas.unmatched import offer_again
from whizbang.store.event_store import EventStore, event_store

_PAGE_ROWS = 500


def find_dead_letters(
    *,
    type: str | None = None,
    reason: str | None = None,
    since: datetime | date | None = None,
    before: datetime | date | None = None,
    ids: Iterable[Any] | None = None,
) -> Iterator[DeadLetter]:
    """Dead letters, oldest first, without their payloads, in bounded memory on every database.

    What is given holds together; see LetterFilter. Raises WhizbangError at the first letter for ids
    that are none.
    """
    chosen = LetterFilter.of(type=type, reason=reason, since=since, before=before, ids=ids)
    rows, after = chosen.rows(event_store().using), 0
    while page := list(rows.filter(pk__gt=after)[:_PAGE_ROWS]):
        yield from page
        after = page[-1].pk


class LetterGroup(NamedTuple):
    """Dead letters of one type with one reason, and when the newest of them died."""

    type: str
    reason: str
    letters: int
    newest_at: datetime


def group_dead_letters(*, limit: int | None = None) -> list[LetterGroup]:
    """How many there are by type and reason, the biggest group first."""
    rows = DeadLetter.objects.using(event_store().using)
    groups = list(
        rows.order_by()
        .values_list("type", "reason")
        .annotate(letters=Count("pk"), newest=Max("pk"))
        .order_by("-letters", "type", "reason")[:limit]
    )
    newest: dict[int, datetime] = {}
    for start in range(0, len(groups), _PAGE_ROWS):
        pks = [pk for *_, pk in groups[start : start + _PAGE_ROWS]]
        newest.update(rows.filter(pk__in=pks).values_list("pk", "died_at"))
    # A group whose newest letter goes meanwhile is told by the next look.
    return [
        LetterGroup(type, reason, letters, newest[pk])
        for type, reason, letters, pk in groups
        if pk in newest
    ]


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


def retry_dead_letter(pk: int, *, operator: str = "", reason: str = "") -> Redriven:
    """Put a dead letter back where it was given up, with its attempts counted from the start.

    It does not expire any more: who redrives it wants it handled. Raises WhizbangError when it is not
    there any more, or can still not be stored.
    """
    store = event_store()
    with transaction.atomic(using=store.using):
        letter = lock_letter(pk, store.using)
        done = put_back(store, letter)
        _record("redrive", letter, store.using, operator=operator, reason=reason, result=str(done))
    return done


def discard_dead_letter(pk: int, reason: str, *, operator: str = "") -> DeadLetter:
    """Give a message up for good: the letter goes, its row in the inbox stays failed.

    A key that it had parked is free: the next message of the key is handled, without this one. Raises
    ValueError without a reason, and WhizbangError when the letter is not there any more.
    """
    if not reason.strip():
        raise ValueError("Give a reason: somebody will ask where the message is.")
    using = event_store().using
    with transaction.atomic(using=using):
        letter = lock_letter(pk, using)
        # Not of one that the broker refused: an inbox row of its id is not its own.
        key = _free_key(letter, using) if letter.document is None else None
        result = "discarded" if key is None else f"discarded; ordering key {key!r} is free"
        _record("discard", letter, using, operator=operator, reason=reason, result=result)
        DeadLetter.objects.using(using).filter(pk=pk).delete()
        nudge_after_commit(using)
    return letter


def lock_letter(pk: int, using: str) -> DeadLetter:
    """A letter that nobody else retries or discards until the caller's transaction ends.

    Raises WhizbangError when it is gone.
    """
    letter = DeadLetter.objects.using(using).select_for_update().filter(pk=pk).first()
    if letter is None:
        raise WhizbangError(f"Dead letter {pk} is gone: somebody has retried or discarded it.")
    return letter


def put_back(store: EventStore, letter: DeadLetter) -> Redriven:
    """Put a locked letter back in the caller's transaction, with the payload that the object has now.

    Raises WhizbangError when it cannot be stored.
    """
    if letter.saga:
        offer_again(store, letter)
        done = Redriven(letter.message_id, letter.type, f"saga {letter.saga}")
    elif letter.document is None:
        done = _handle_again(letter, store.using)
    elif letter.reason == REFUSED_BY_BROKER:
        done = _send_again(letter, store.using)
    else:
        done = receive_again(letter, message_in(letter), store)
    DeadLetter.objects.using(store.using).filter(pk=letter.pk).delete()
    nudge_after_commit(store.using)
    return done


def message_in(letter: DeadLetter) -> BrokerMessage:
    """What came over a broker. Raises WhizbangError for what is no message."""
    try:
        return from_structured(bytes(letter.document or b""))
    except Malformed as exc:
        raise WhizbangError(
            f"Dead letter {letter.pk} cannot be read ({exc}): let its sender send it anew."
        ) from exc


def receive_again(letter: DeadLetter, message: BrokerMessage, store: EventStore) -> Redriven:
    """Store what came over a broker, in the caller's transaction; raises as put_back()."""
    store_again(store, message)
    where = "log" if message.kind is Kind.EVENT else "inbox"
    return Redriven(letter.message_id, letter.type, where)


def _free_key(letter: DeadLetter, using: str) -> str | None:
    rows = InboxMessage.objects.using(using).filter(
        message_id=letter.message_id, service=settings.SERVICE, status=InboxMessage.Status.FAILED
    )
    key: str | None = rows.values_list("ordering_key", flat=True).first()
    rows.update(ordering_key=None)
    return key


def _record(action: str, letter: DeadLetter, using: str, **known: Any) -> None:
    facts = {"type": letter.type, "reason": letter.reason, "attempts": letter.attempts}
    record_action(
        action,
        f"dead letter {letter.pk}",
        using=using,
        message_id=letter.message_id,
        parameters=facts,
        **known,
    )


def _send_again(letter: DeadLetter, using: str) -> Redriven:
    rows = OutboxMessage.objects.using(using).filter(message_id=letter.message_id)
    if not rows.update(published_at=None, payload=letter.payload, schema=letter.schema):
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
        schema=letter.schema,
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
