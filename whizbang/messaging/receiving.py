"""What a broker brings, stored in one transaction: commands in the inbox, answers with their receipts, events in
the log.

An event of another service is appended to this service's log under its own stream and version: projections,
subscribers and sagas read it there as they read their own, and (stream, version) lets none in twice.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import InterfaceError, OperationalError, transaction
from django.utils.timezone import now

from whizbang.conf import settings
from whizbang.domain.reacting import react_to
from whizbang.domain.unit_of_work import is_watched
from whizbang.drivers.brokers.base import BrokerMessage, Delivery, Kind
from whizbang.drivers.brokers.cloudevents import to_structured
from whizbang.drivers.clock import database_now
from whizbang.drivers.rows import rows_of
from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import ConcurrencyError, WhizbangError
from whizbang.messages.base import Command, Event
from whizbang.messages.hashing import hash_of
from whizbang.messages.ids import make_id
from whizbang.messages.text import error_text
from whizbang.messages.types import find_type, is_readable, type_named
from whizbang.messaging.nudge import nudge_after_commit
from whizbang.messaging.replies import is_reply, store_replies
from whizbang.messaging.rows import NewInboxRow, encode_metadata
from whizbang.models import DeadLetter, InboxMessage
from whizbang.routing.destination import stored_mode
from whizbang.routing.registry import priority_of
from whizbang.store.codec import plain_type
from whizbang.store.event_store import EventStore
from whizbang.store.foreign_events import append_foreign, append_late

logger = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """Why something cannot be stored; a dead letter keeps it."""

    reason: str
    error: str
    delivery: Delivery


def store_deliveries(store: EventStore, deliveries: Sequence[Delivery]) -> None:
    """Store a batch in its order, all or nothing; what can never be stored becomes a dead letter.

    Safe to repeat: what is known already changes nothing. Raises errors of the database that pass, and
    `ConcurrencyError`.
    """
    try:
        with transaction.atomic(using=store.using):
            _store(store, deliveries)
            nudge_after_commit(store.using)
    except (OperationalError, InterfaceError, ConcurrencyError):
        raise
    except Exception as exc:
        if len(deliveries) > 1:
            logger.info("Messages go one by one count=%s reason=%s", len(deliveries), exc)
            for delivery in deliveries:
                store_deliveries(store, [delivery])
            return
        _bury([Refusal(type(exc).__name__, error_text(exc), deliveries[0])], store.using)


def _store(store: EventStore, deliveries: Sequence[Delivery]) -> None:
    refusals: list[Refusal] = []
    sorted_out: dict[Kind, list[BrokerMessage]] = {kind: [] for kind in Kind}
    for delivery in deliveries:
        refusal = _refuse(delivery)
        if refusal is not None:
            refusals.append(refusal)
        elif delivery.message is not None:
            sorted_out[delivery.message.kind].append(delivery.message)
    _store_commands(sorted_out[Kind.COMMAND], store.using)
    store_replies(sorted_out[Kind.REPLY], using=store.using)
    _store_events(store, sorted_out[Kind.EVENT])
    _bury(refusals, store.using)


def store_again(store: EventStore, message: BrokerMessage) -> None:
    """Store what was refused once, in the caller's transaction.

    Raises WhizbangError when it still cannot be.
    """
    refusal = _refuse(Delivery(message=message))
    if refusal is not None:
        raise WhizbangError(
            f"{message.type} {message.message_id} cannot be stored: {refusal.error}"
        )
    if message.kind is Kind.EVENT:
        _react(store, append_late(store, message))
    elif message.kind is Kind.REPLY:
        store_replies([message], using=store.using)
    else:
        _store_commands([message], store.using)
    nudge_after_commit(store.using)


def _refuse(delivery: Delivery) -> Refusal | None:
    message = delivery.message
    if message is None:
        return Refusal("Malformed", delivery.problem, delivery)
    if len(message.payload) > settings.get().MAX_PAYLOAD_BYTES and message.kind is Kind.COMMAND:
        size = f"Its payload has {len(message.payload)} bytes."
        return Refusal("TooLarge", f"{size} MAX_PAYLOAD_BYTES allows fewer.", delivery)
    if message.kind is Kind.COMMAND:
        return _refuse_command(message, delivery)
    if message.kind is Kind.EVENT:
        return _refuse_event(message, delivery)
    return None if is_reply(message) else Refusal("Malformed", "It is no answer.", delivery)


def _refuse_command(message: BrokerMessage, delivery: Delivery) -> Refusal | None:
    known = find_type(message.type)
    if known is None or not issubclass(known, Command):
        error = f"No command here is called {message.type!r}: deploy the code that declares it, then retry."
        return Refusal("UnknownMessageType", error, delivery)
    if not settings.get().owns(known.__whizbang__.domain):
        owner = settings.get().service_of(known.__whizbang__.domain)
        error = (
            f"{message.type} belongs to {owner or 'nobody'}, not to service {settings.SERVICE!r}: "
            f"{message.metadata.service!r} has other settings for OWNS and SERVICES."
        )
        return Refusal("WrongOwner", error, delivery)
    return None


def _refuse_event(message: BrokerMessage, delivery: Delivery) -> Refusal | None:
    owner = settings.get().service_of(message.destination)
    if owner == settings.SERVICE or owner != message.metadata.service:
        error = (
            f"Service {message.metadata.service!r} published an event of domain "
            f"{message.destination!r}, which belongs to {owner!r}."
        )
        return Refusal("WrongOwner", error, delivery)
    if not message.stream or message.version < 1:
        error = (
            "An event has a subject, its stream, and a streamversion, its place there from 1 on."
        )
        return Refusal("Malformed", error, delivery)
    return None


def _store_commands(messages: Sequence[BrokerMessage], using: str) -> None:
    """By their ids in order, so that two receivers of the same ones do not wait for each other."""
    if not messages:
        return
    # The order of one key is the order of the rows: it comes before the order of ids.
    if not any(message.ordering_key for message in messages):
        messages = sorted(messages, key=lambda message: message.message_id)
    due_now = database_now(using)
    rows = [_inbox_row(message, due_now) for message in messages]
    rows_of(InboxMessage, InboxMessage._meta.get_field("id"), using).insert_new(rows)


def _inbox_row(message: BrokerMessage, now: datetime) -> NewInboxRow:
    message_type = type_named(message.type)
    return NewInboxRow(
        service=settings.SERVICE,
        message_id=message.message_id,
        type=message.type,
        schema=message.schema,
        payload=message.payload,
        payload_hash=hash_of(message.payload),
        metadata=encode_metadata(message.metadata),
        occurred_at=message.occurred_at,
        mode=stored_mode(message_type),
        priority=priority_of(message_type),
        ordering_key=message.ordering_key,
        available_at=message.available_at or now,
        expires_at=message.expires_at,
        reply_to=message.reply_to,
    )


def _store_events(store: EventStore, messages: Sequence[BrokerMessage]) -> None:
    wanted = [message for message in messages if _is_known(message.type)]
    for name in {message.type for message in messages} - {message.type for message in wanted}:
        logger.info("Event left out, since nothing here knows its type type=%s", name)
    _append(store, wanted)


def _append(store: EventStore, messages: Sequence[BrokerMessage]) -> None:
    if messages:
        _react(store, append_foreign(store, messages))


def _react(store: EventStore, rows: Sequence[StoredRow]) -> None:
    watched = [row for row in rows if _is_watched(row.type)]
    if watched:
        react_to(store, watched)


def _is_watched(name: str) -> bool:
    found = plain_type(name)
    # What is read as others than itself is decoded to know.
    return not (found is not None and issubclass(found, Event)) or is_watched([found])


def _is_known(name: str) -> bool:
    found = find_type(name)
    return issubclass(found, Event) if found is not None else is_readable(name)


def _bury(refusals: Sequence[Refusal], using: str) -> None:
    for reason, error, delivery in refusals:
        message = delivery.message
        logger.error(
            "Message refused type=%s id=%s reason=%s error=%s",
            message.type if message else "",
            message.message_id if message else "",
            reason,
            error,
        )
        DeadLetter.objects.using(using).create(
            message_id=message.message_id if message else make_id(),
            type=message.type[:200] if message else "",
            schema=message.schema if message else 0,
            payload=message.payload if message else b"null",
            metadata=encode_metadata(message.metadata) if message else b"{}",
            occurred_at=message.occurred_at if message else now(),
            reason=reason,
            error=error,
            attempts=0,
            document=to_structured(message) if message else delivery.raw,
        )
