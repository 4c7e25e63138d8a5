"""Deciding about a message that waits in the inbox: now, later, or never."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.drivers.clock import database_now
from whizbang.exceptions import WhizbangError
from whizbang.messaging.nudge import nudge_after_commit
from whizbang.messaging.replies import send_answers
from whizbang.models import InboxMessage, OperatorAction
from whizbang.operations.audit import record_action
from whizbang.store.event_store import event_store

Status = InboxMessage.Status


class Decided(NamedTuple):
    """The message as it was, what was done, and the record of it."""

    message: InboxMessage
    text: str
    record: OperatorAction


def handle_now(pk: int, *, operator: str = "", reason: str = "") -> Decided:
    """Let a message that waits for its time, or for its retry, be due at once.

    Its handler's rate limit, and what is ahead of it in its ordering key, still hold it. Raises
    WhizbangError for one that does not wait.
    """
    using = event_store().using
    with transaction.atomic(using=using):
        row = _lock_waiting(pk, using)
        InboxMessage.objects.using(using).filter(pk=pk).update(available_at=Now(), token_at=None)
        text = f"{row.type} {row.message_id} is due now; it was at {_moment(row.available_at)}."
        record = _record("handle-now", row, text, using, operator=operator, reason=reason)
        nudge_after_commit(using)
    return Decided(row, text, record)


def reschedule(pk: int, at: datetime, *, operator: str = "", reason: str = "") -> Decided:
    """Let a message that waits be due at another time, which is to come and before it expires.

    Messages behind it in its ordering key wait as long. Raises WhizbangError for another time, and for
    one that does not wait.
    """
    using = event_store().using
    with transaction.atomic(using=using):
        row = _lock_waiting(pk, using)
        check_time(row, at)
        InboxMessage.objects.using(using).filter(pk=pk).update(available_at=at, token_at=None)
        text = f"{row.type} {row.message_id} is due at {_moment(at)}, not at {_moment(row.available_at)}."
        record = _record(
            "reschedule", row, text, using, operator=operator, reason=reason, to=at.isoformat()
        )
        nudge_after_commit(using)
    return Decided(row, text, record)


def discard_inbox_message(pk: int, *, reason: str, operator: str = "") -> Decided:
    """Give a message up that waits, or whose worker has died with it; the audit trail keeps its payload.

    Whoever waits for it, here or in another service, learns that it failed, with the reason. The next
    message of its ordering key goes on without it, and its id stays known: sent again, it has failed.
    Raises ValueError without a reason, and WhizbangError for one that does not wait.
    """
    if not reason.strip():
        raise ValueError("Give a reason: somebody will ask where the message is.")
    using = event_store().using
    with transaction.atomic(using=using):
        row = _lock_waiting(pk, using, is_abandoned_too=True)
        error = f"Discarded by an operator: {reason}"
        InboxMessage.objects.using(using).filter(pk=pk).update(
            status=Status.FAILED,
            payload=None,
            metadata=None,
            ordering_key=None,
            claim=None,
            error=error,
            finished_at=Now(),
        )
        send_answers([row], Status.FAILED, using=using, error=error)
        key = row.ordering_key
        text = f"{row.type} {row.message_id} is discarded" + (
            "." if key is None else f"; ordering key {key!r} goes on without it."
        )
        record = _record(
            "discard",
            row,
            text,
            using,
            operator=operator,
            reason=reason,
            original=None if row.payload is None else bytes(row.payload),
        )
        nudge_after_commit(using)
    return Decided(row, text, record)


def check_waiting(row: InboxMessage, *, is_abandoned_too: bool = False) -> None:
    """Raise WhizbangError, which says why, where nothing can be decided about a message."""
    if row.service != settings.SERVICE or row.mode == "remote":
        raise WhizbangError(
            f"Message {row.pk} is the receipt of one that service {row.service!r} handles: decide there."
        )
    if row.finished_at is not None:
        raise WhizbangError(f"Message {row.pk} does not wait any more: it is {row.status}.")
    if row.mode == "inline":
        raise WhizbangError(
            f"Message {row.pk} is handled by the one who sent it, and no worker's: nothing to decide."
        )
    if row.status != Status.RUNNING:
        return
    is_abandoned = row.available_at <= database_now(row._state.db or event_store().using)
    if not (is_abandoned and is_abandoned_too):
        until = f"at the latest at {_moment(row.available_at)}"
        raise WhizbangError(
            f"Message {row.pk} is being handled: wait for the end of it, which a worker says {until}."
        )


def check_time(row: InboxMessage, at: datetime) -> None:
    """Raise WhizbangError for a time at which a message cannot be due."""
    if at.tzinfo is None:
        raise WhizbangError(f"{at} has no time zone: give one, such as {at.isoformat()}+00:00.")
    if at <= database_now(row._state.db or event_store().using):
        raise WhizbangError(f"{_moment(at)} is past: let message {row.pk} be handled now.")
    if row.expires_at is not None and at >= row.expires_at:
        raise WhizbangError(
            f"Message {row.pk} expires at {_moment(row.expires_at)}: give an earlier time."
        )


def _lock_waiting(pk: int, using: str, *, is_abandoned_too: bool = False) -> InboxMessage:
    rows = InboxMessage.objects.using(using).select_for_update()
    row = rows.filter(pk=pk).first()
    if row is None:
        raise WhizbangError(f"There is no message {pk} in the inbox any more.")
    check_waiting(row, is_abandoned_too=is_abandoned_too)
    return row


def _record(
    action: str,
    row: InboxMessage,
    text: str,
    using: str,
    *,
    operator: str,
    reason: str,
    original: bytes | None = None,
    **more: Any,
) -> OperatorAction:
    return record_action(
        action,
        f"inbox message {row.pk}",
        using=using,
        operator=operator,
        reason=reason,
        message_id=row.message_id,
        parameters={"type": row.type, "status": row.status, "attempts": row.attempts, **more},
        result=text,
        original=original,
    )


def _moment(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds")
