"""What a verb makes of a message and its keywords: an envelope."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from whizbang.domain.context import Context, current_context
from whizbang.messages.envelope import Envelope
from whizbang.messages.envelope import envelope as wrap
from whizbang.store.event_store import event_store


def prepare(
    message: Any,
    message_id: UUID | None = None,
    occurred_at: datetime | None = None,
    user: Any = None,
    ordering_key: str | None = None,
    using: str | None = None,
) -> Envelope:
    """A message in its envelope; inside a handler it is caused by the message that is handled."""
    if type(message) is Envelope:
        envelope = message.fresh()
        _complete(envelope, given_id=message_id, occurred_at=occurred_at, user=user)
        _complete(envelope, ordering_key=ordering_key, using=using)
    elif message_id is None and occurred_at is None:
        envelope = Envelope(message, None, None, user, ordering_key, using)
    else:
        envelope = wrap(
            message,
            message_id=message_id,
            occurred_at=occurred_at,
            user=user,
            ordering_key=ordering_key,
            using=using,
        )
    context = current_context.get()
    if context is not None:
        join(envelope, context)
    return envelope


def _complete(envelope: Envelope, **known: Any) -> None:
    """Add to an envelope what a verb's keywords say. Raises TypeError when both say something."""
    for name, value in known.items():
        if value is None:
            continue
        if getattr(envelope, name) is not None:
            keyword = "message_id" if name == "given_id" else name
            raise TypeError(f"{keyword} is given twice: in the envelope and as a keyword.")
        setattr(envelope, name, value)


def join(envelope: Envelope, context: Context) -> None:
    """Make a message part of the work of the handler that sends it."""
    outer = context.envelope
    if outer.is_done:
        return  # a task that outlived its handler has this context, whose work is committed
    if envelope.parent is None:
        envelope.parent = outer.metadata
    if (envelope.using or "default") != (outer.using or "default"):
        return
    if outer.is_atomic:
        envelope.unit = context.unit


def set_times(
    envelope: Envelope,
    *,
    delay: timedelta | None,
    at: datetime | None,
    expires: datetime | timedelta | None,
) -> None:
    if delay is not None and not isinstance(delay, timedelta):
        raise TypeError(f"delay must be a timedelta, not {delay!r}.")
    if delay is not None and at is not None:
        raise ValueError("Give delay or at, not both.")
    if at is not None and not isinstance(at, datetime):
        raise TypeError(f"at must be a datetime, not {at!r}.")
    if expires is not None and not isinstance(expires, datetime | timedelta):
        raise TypeError(f"expires must be a datetime or a timedelta, not {expires!r}.")
    if at is not None and at.tzinfo is None:
        raise ValueError("at must have a time zone.")
    if isinstance(expires, datetime) and expires.tzinfo is None:
        raise ValueError("expires must have a time zone.")
    envelope.delay, envelope.at = delay, at
    if isinstance(expires, timedelta):
        from whizbang.drivers.clock import database_now

        expires = database_now(event_store(envelope.using).using) + expires
    envelope.expires = expires
