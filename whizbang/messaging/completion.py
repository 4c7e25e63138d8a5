"""Marks messages as handled in the transaction of their effects, and answers repeated ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import IntegrityError, connections, transaction
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.drivers.errors import naming_missing_tables
from whizbang.drivers.rows import rows_of
from whizbang.exceptions import (
    CommandFailed,
    MessageIdReused,
    ResultTooLarge,
    WaitTimeout,
    WhizbangError,
)
from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope
from whizbang.messages.hashing import hash_of
from whizbang.messages.types import find_type
from whizbang.messaging.replies import send_answers
from whizbang.messaging.results import NotKept, decode_result, keep_result
from whizbang.messaging.rows import columns_of
from whizbang.models import InboxMessage
from whizbang.store.event_store import event_store

Status = InboxMessage.Status
_HANDLED = {
    "status": Status.HANDLED,
    "payload": None,
    "metadata": None,
    "ordering_key": None,
    "error": "",
    "traceback": "",
    "finished_at": Now(),
}


class LostClaim(WhizbangError):
    """Another worker took a message over, so this one's effects must not commit."""


def open_receipt(envelope: Envelope) -> tuple[InboxMessage, bool]:
    """The row of an id given by the caller, and whether this call has to handle the message.

    Blocks while a rival holds the id in its transaction. Without a transaction (atomic=False) a row
    whose sender died is taken over when its lease has ended.
    """
    using = event_store(envelope.using).using
    columns = columns_of(envelope, using=using)
    row = InboxMessage(
        service=settings.SERVICE,
        mode="inline",
        status=Status.RUNNING,
        claim=uuid4(),
        payload_hash=hash_of(columns["payload"]),
        **{**columns, "available_at": Now() + timedelta(seconds=settings.LEASE_SECONDS)},
    )
    try:
        with naming_missing_tables(using), transaction.atomic(using=using):
            row.save(using=using, force_insert=True)
    except IntegrityError:
        rows = InboxMessage.objects.using(using)
        known = rows.get(message_id=row.message_id, service=row.service)
        if not is_same(known.type, known.payload_hash, envelope):
            raise MessageIdReused(known.message_id, row.type) from None
        return known, _take_over(known, using)
    return row, True


def _take_over(known: InboxMessage, using: str) -> bool:
    claim = uuid4()
    taken = (
        InboxMessage.objects.using(using)
        .filter(pk=known.pk, claim=known.claim, mode="inline", status=Status.RUNNING)
        .filter(available_at__lte=Now())
        .update(claim=claim, available_at=Now() + timedelta(seconds=settings.LEASE_SECONDS))
    )
    if taken:
        known.claim = claim
    return bool(taken)


def is_same(type_name: str, payload_hash: Any, envelope: Envelope) -> bool:
    """Is a known message the one in this envelope: of the same type, whatever its name was then?"""
    if find_type(type_name) is not type(envelope.message):
        return False
    return bytes(payload_hash) == hash_of(envelope.payload or b"")


def answer_again(row: InboxMessage, message_type: type[Message]) -> Any:
    """The answer that a message got before."""
    type_name = message_type.__whizbang__.type_name
    if row.status == Status.HANDLED:
        result = decode_result(row.result, message_type)
        if isinstance(result, NotKept):
            raise ResultTooLarge(row.message_id, type_name)
        return result
    if row.status in (Status.FAILED, Status.EXPIRED):
        raise CommandFailed(row.message_id, type_name, str(row.status), row.error)
    raise WaitTimeout(
        f"{type_name} {row.message_id} is being handled elsewhere ({row.status}): "
        "use the receipt of the first send, or send it again later."
    )


def abandon(row: InboxMessage) -> None:
    """Forget an id whose handler failed without a transaction that would undo it."""
    using = row._state.db or "default"
    if not connections[using].in_atomic_block:
        InboxMessage.objects.using(using).filter(pk=row.pk, claim=row.claim).delete()


def complete(row: InboxMessage, result: Any, message_type: type[Message]) -> Any:
    """Mark a message as handled in the transaction of its effects; gives the answer.

    Raises `LostClaim` when somebody else has taken it over.
    """
    using = row._state.db or "default"
    stored, answer = keep_result(result, message_type)
    mine = InboxMessage.objects.using(using).filter(
        pk=row.pk, claim=row.claim, status=Status.RUNNING
    )
    if not mine.update(result=stored, **_HANDLED):
        raise LostClaim(f"Message {row.message_id} was taken over by another worker.")
    if row.reply_to:
        send_answers([row], Status.HANDLED, using=using, results=[stored])
    return answer


def complete_many(
    completed: Sequence[tuple[InboxMessage, type[Message], Any]], *, using: str
) -> None:
    """Mark a batch, all under one claim, as handled. Raises `LostClaim` as complete()."""
    if not completed:
        return
    rows = [row for row, _, _ in completed]
    mine = InboxMessage.objects.using(using).filter(
        pk__in=[row.pk for row in rows], claim=rows[0].claim, status=Status.RUNNING
    )
    changed = mine.update(**_HANDLED)
    if changed != len(rows):
        raise LostClaim(f"{len(rows) - changed} messages were taken over by another worker.")
    kept = [keep_result(result, message_type)[0] for _, message_type, result in completed]
    results = [(row.pk, result) for row, result in zip(rows, kept, strict=True) if result]
    if results:
        key = InboxMessage._meta.get_field("id")
        rows_of(InboxMessage, key, using).set_columns(["result"], results)
    send_answers(rows, Status.HANDLED, using=using, results=kept)
