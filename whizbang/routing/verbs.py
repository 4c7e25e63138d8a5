"""send, publish, publish_batch, dispatch and query: the ways into the system."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connections, transaction

from whizbang.conf import settings
from whizbang.domain.context import current_context
from whizbang.exceptions import RemoteQuery, WhizbangError, WrongMode
from whizbang.messages.base import Command, Message, Query
from whizbang.messages.envelope import Envelope
from whizbang.messages.envelope import envelope as wrap
from whizbang.messages.metadata import Metadata
from whizbang.messaging.batches import BatchReceipt, store_batch
from whizbang.messaging.queue import store_messages
from whizbang.messaging.receipts import Receipt
from whizbang.pipeline.chain import chain_of, edge_of
from whizbang.routing.destination import mode_of, service_of
from whizbang.store.event_store import event_store

R = TypeVar("R")
__all__ = ["mode_of"]


def send(
    command: Command[R] | Envelope,
    *,
    message_id: UUID | None = None,
    occurred_at: datetime | None = None,
    user: Any = None,
    ordering_key: str | None = None,
    using: str | None = None,
    timeout_seconds: float = 30.0,
) -> R:
    """Handle a command now and return its handler's result; its events are stored then.

    Joins the caller's transaction if there is one on the store's alias; inside a handler it shares
    the unit of work. A command of another service goes through the broker, and its answer is waited
    for up to `timeout_seconds` (`WaitTimeout`); inside an open transaction that is refused.
    Raises what the handler raises, `InvalidMessage`, `NotAuthorized`, `ConcurrencyError`.
    """
    if asyncio._get_running_loop() is not None:
        raise WrongMode(
            "send() was called in a running event loop: use `await whizbang.asend(...)`."
        )
    envelope = prepare(
        command,
        message_id=message_id,
        occurred_at=occurred_at,
        user=user,
        ordering_key=ordering_key,
        using=using,
        kind=Command,
    )
    if not settings.get().owns(type(envelope.message).__whizbang__.domain):
        return _send_away(envelope, timeout_seconds)  # type: ignore[no-any-return]
    return run_inline(envelope)  # type: ignore[no-any-return]


def query(
    message: Query[R] | Envelope,
    *,
    message_id: UUID | None = None,
    occurred_at: datetime | None = None,
    user: Any = None,
    ordering_key: str | None = None,
    using: str | None = None,
) -> R:
    """Answer a query from projections.

    Raises `RemoteQuery` for a query of another service's domain.
    """
    if asyncio._get_running_loop() is not None:
        raise WrongMode(
            "query() was called in a running event loop: use `await whizbang.aquery(...)`."
        )
    envelope = prepare(
        message,
        message_id=message_id,
        occurred_at=occurred_at,
        user=user,
        ordering_key=ordering_key,
        using=using,
        kind=Query,
    )
    owner = service_of(type(envelope.message))
    if owner != settings.SERVICE:
        name = type(envelope.message).__whizbang__.type_name
        raise RemoteQuery(
            f"{name} is answered by service {owner!r}: ask it there, or keep a projection of your own."
        )
    return chain_of(type(envelope.message))(envelope)  # type: ignore[no-any-return]


def publish(
    command: Command[Any] | Envelope,
    *,
    message_id: UUID | None = None,
    occurred_at: datetime | None = None,
    user: Any = None,
    ordering_key: str | None = None,
    using: str | None = None,
    delay: timedelta | None = None,
    at: datetime | None = None,
    expires: datetime | timedelta | None = None,
) -> Receipt:
    """Store a command for a worker and return its receipt.

    Part of the caller's transaction if there is one. `delay` counts from the database's clock, `at`
    is an aware datetime; after `expires` it is not handled any more. Raises `InvalidMessage`,
    `NotAuthorized`, and `MessageIdReused` when the id came with another payload before.
    """
    envelope = prepare(
        command,
        message_id=message_id,
        occurred_at=occurred_at,
        user=user,
        ordering_key=ordering_key,
        using=using,
        kind=Command,
    )
    set_times(envelope, delay=delay, at=at, expires=expires)
    return _store(envelope, mode="durable")


def publish_batch(
    commands: Iterable[Command[Any] | Envelope],
    *,
    user: Any = None,
    occurred_at: datetime | None = None,
    ordering_key: str | None = None,
    using: str | None = None,
    message_id: None = None,
) -> BatchReceipt:
    """Store many commands, lazily and in chunks; workers handle many in one transaction.

    Never raises for one message: the receipt counts accepted and duplicates, and lists the
    rejected with their index and error. Keywords go to the commands that are not in an envelope.
    """
    if message_id is not None:
        raise TypeError("A batch cannot share one message_id: wrap each command in envelope(...).")
    receipt = BatchReceipt(using=event_store(using).using)
    size = settings.get().BATCH_SIZE
    numbered = enumerate(iter(commands))
    while chunk := list(islice(numbered, size)):
        checked: list[tuple[int, Envelope]] = []
        for index, command in chunk:
            try:
                checked.append(
                    (index, check(_own(command, user, occurred_at, ordering_key, using)))
                )
            except (WhizbangError, TypeError, ValueError) as exc:
                receipt.reject(index, exc)
        store_batch(checked, receipt)
    receipt.rejected.sort(key=lambda item: item.index)
    return receipt


def dispatch(
    command: Command[Any] | Envelope,
    *,
    message_id: UUID | None = None,
    occurred_at: datetime | None = None,
    user: Any = None,
    ordering_key: str | None = None,
    using: str | None = None,
) -> Receipt:
    """Handle a command as MODES says for its type or domain: inline by default. Always a receipt."""
    envelope = prepare(
        command,
        message_id=message_id,
        occurred_at=occurred_at,
        user=user,
        ordering_key=ordering_key,
        using=using,
        kind=Command,
    )
    mode = mode_of(type(envelope.message), default="inline")
    is_own = settings.get().owns(type(envelope.message).__whizbang__.domain)
    if mode != "inline" or not is_own:
        return _store(envelope, mode="durable" if mode == "inline" else mode)
    result = send(envelope)  # type: ignore[var-annotated]
    store = event_store(envelope.using)
    return Receipt.handled(envelope.message_id, type(envelope.message), result, using=store.using)


def prepare(
    message: Any,
    *,
    kind: type[Message] = Command,
    parent: Metadata | None = None,
    message_id: UUID | None = None,
    occurred_at: datetime | None = None,
    user: Any = None,
    ordering_key: str | None = None,
    using: str | None = None,
) -> Envelope:
    """A message in its envelope, caused by the message that is being handled now, if any."""
    if isinstance(message, Envelope):
        envelope = message
        if not isinstance(envelope.message, kind):
            raise _wrong_kind(envelope.message, kind)
        return envelope
    if not isinstance(message, kind):
        raise _wrong_kind(message, kind)
    context = current_context.get()
    if parent is None and context is not None:
        parent = context.metadata
    if message_id is None and occurred_at is None:
        return Envelope(message, None, None, user, ordering_key, using, parent)
    return wrap(
        message,
        message_id=message_id,
        occurred_at=occurred_at,
        user=user,
        ordering_key=ordering_key,
        using=using,
        parent=parent,
    )


def _wrong_kind(message: Any, kind: type[Message]) -> TypeError:
    verb = "query()" if kind is Query else "send(), publish() and dispatch()"
    return TypeError(f"{verb} takes a {kind.__name__}, not {type(message).__name__}.")


def run_inline(envelope: Envelope) -> Any:
    """Run the whole chain, inside the unit of work of the current handler where there is one."""
    context = current_context.get()
    if context is not None and context.envelope.atomic:
        same_store = (envelope.using or "default") == (context.envelope.using or "default")
        if same_store:
            envelope.unit = context.unit
    elif context is not None and context.envelope.unit is not None:
        unit = context.envelope.unit
        if connections[unit.store.using].in_atomic_block:
            envelope.unit = unit
    return chain_of(type(envelope.message))(envelope)


def check(envelope: Envelope) -> Envelope:
    """Run the stages of the edge over a message that will be stored."""
    service_of(type(envelope.message))
    edge_of(type(envelope.message))(envelope)
    return envelope


def set_times(
    envelope: Envelope,
    *,
    delay: timedelta | None,
    at: datetime | None,
    expires: datetime | timedelta | None,
) -> None:
    if at is not None and at.tzinfo is None:
        raise ValueError("at must have a time zone.")
    if isinstance(expires, datetime) and expires.tzinfo is None:
        raise ValueError("expires must have a time zone.")
    envelope.delay, envelope.at = delay, at
    if isinstance(expires, timedelta):
        from whizbang.messaging.clock import database_now

        expires = database_now(event_store(envelope.using).using) + expires
    envelope.expires = expires


def _store(envelope: Envelope, *, mode: str) -> Receipt:
    check(envelope)
    using = event_store(envelope.using).using
    if envelope.has_given_id:
        batch = BatchReceipt(using=using)
        store_batch([(0, envelope)], batch, mode=mode)
        if batch.rejected:
            raise batch.rejected[0].error
    else:
        with transaction.atomic(using=using, savepoint=False):
            store_messages([envelope], using=using, mode=mode)
    receipt = Receipt(envelope.message_id, type(envelope.message), using=using)
    return receipt.refresh() if envelope.has_given_id else receipt


def _send_away(envelope: Envelope, timeout_seconds: float) -> Any:
    owner = service_of(type(envelope.message))
    using = event_store(envelope.using).using
    if connections[using].in_atomic_block:
        raise WrongMode(
            f"send() to service {owner!r} waits for its reply and cannot do so inside an open "
            "transaction: use publish(), or send after the transaction."
        )
    return _store(envelope, mode="durable").wait(timeout_seconds=timeout_seconds)


def _own(
    command: Any,
    user: Any,
    occurred_at: datetime | None,
    ordering_key: str | None,
    using: str | None,
) -> Envelope:
    return prepare(
        command, user=user, occurred_at=occurred_at, ordering_key=ordering_key, using=using
    )


async def asend(command: Command[R] | Envelope, **keywords: Any) -> R:
    """See send()."""
    return await sync_to_async(send)(command, **keywords)


async def aquery(message: Query[R] | Envelope, **keywords: Any) -> R:
    """See query()."""
    return await sync_to_async(query)(message, **keywords)


async def apublish(command: Command[Any] | Envelope, **keywords: Any) -> Receipt:
    """See publish()."""
    return await sync_to_async(publish)(command, **keywords)


async def apublish_batch(
    commands: Iterable[Command[Any] | Envelope], **keywords: Any
) -> BatchReceipt:
    """See publish_batch()."""
    return await sync_to_async(publish_batch)(commands, **keywords)


async def adispatch(command: Command[Any] | Envelope, **keywords: Any) -> Receipt:
    """See dispatch()."""
    return await sync_to_async(dispatch)(command, **keywords)
