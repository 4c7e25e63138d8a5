"""Deciding about a message that waits in the outbox: send it now, or never."""

from __future__ import annotations

from typing import NamedTuple

from django.db import transaction
from django.db.models.functions import Now

from whizbang.drivers.brokers.base import Kind
from whizbang.drivers.clock import database_now
from whizbang.exceptions import WhizbangError
from whizbang.messaging.nudge import nudge_after_commit
from whizbang.messaging.replies import note_refused
from whizbang.models import OperatorAction, OutboxMessage
from whizbang.operations.audit import record_action
from whizbang.store.event_store import event_store


class Decided(NamedTuple):
    """The message as it was, what was done, and the record of it."""

    message: OutboxMessage
    text: str
    record: OperatorAction


def send_now(pk: int, *, operator: str = "", reason: str = "") -> Decided:
    """Let a message that waits be handled without the delay that it was sent with, and wake the relay.

    The relay sends in order, and to a broker that is away as soon as it answers. Raises WhizbangError
    for one that does not wait.
    """
    using = event_store().using
    with transaction.atomic(using=using):
        row = _lock_unsent(pk, using)
        is_delayed = row.available_at > database_now(using)
        if is_delayed:
            OutboxMessage.objects.using(using).filter(pk=pk).update(available_at=Now())
        text = f"{row} goes at the next turn of the relay" + (
            ", without its delay." if is_delayed else "."
        )
        record = _record("send-now", row, text, using, operator=operator, reason=reason)
        nudge_after_commit(using)
    return Decided(row, text, record)


def discard_outbox_message(pk: int, *, reason: str, operator: str = "") -> Decided:
    """Never send a message that waits; the audit trail keeps its payload.

    Who waits here for the answer to a command learns that it failed, with the reason; a service that
    waits for an answer which is discarded learns nothing. A relay that holds the message in its hands may
    have sent it already. Raises ValueError without a reason, and WhizbangError for one that does not wait.
    """
    if not reason.strip():
        raise ValueError("Give a reason: somebody will ask where the message is.")
    using = event_store().using
    with transaction.atomic(using=using):
        row = _lock_unsent(pk, using)
        note_refused(row, f"Discarded by an operator: {reason}", using=using)
        OutboxMessage.objects.using(using).filter(pk=pk).delete()
        text = f"{row} {row.message_id} is discarded and not sent."
        record = _record(
            "discard",
            row,
            text,
            using,
            operator=operator,
            reason=reason,
            original=bytes(row.payload),
        )
    return Decided(row, text, record)


def check_unsent(row: OutboxMessage | None, pk: int) -> OutboxMessage:
    """Raise WhizbangError, which says why, where nothing can be decided about a message."""
    if row is None:
        raise WhizbangError(f"There is no message {pk} in the outbox any more.")
    if row.published_at is not None:
        raise WhizbangError(f"Message {pk} of the outbox is sent: its receiver decides about it.")
    return row


def who_learns(row: OutboxMessage) -> str:
    """What becomes of those who wait for a message, or for the answer to it, when it is discarded."""
    if row.kind == Kind.REPLY:
        return f"Service {row.service} waits for this answer, and waits until its own time is up."
    if row.reply_to:
        return "Who waits here for the answer learns that it failed, with the reason."
    return "Nobody waits for an answer."


def _lock_unsent(pk: int, using: str) -> OutboxMessage:
    rows = OutboxMessage.objects.using(using).select_for_update()
    return check_unsent(rows.filter(pk=pk).first(), pk)


def _record(
    action: str,
    row: OutboxMessage,
    text: str,
    using: str,
    *,
    operator: str,
    reason: str,
    original: bytes | None = None,
) -> OperatorAction:
    return record_action(
        action,
        f"outbox message {row.pk}",
        using=using,
        operator=operator,
        reason=reason,
        message_id=row.message_id,
        parameters={"type": row.type, "service": row.service, "kind": row.kind},
        result=text,
        original=original,
    )
