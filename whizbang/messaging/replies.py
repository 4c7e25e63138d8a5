"""Answers to commands of other services: how one that waits, here or there, learns what became of its command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.drivers.brokers.base import BrokerMessage, Kind
from whizbang.messages.ids import make_id
from whizbang.messages.metadata import WireMetadata
from whizbang.messaging.lanes import lane_of
from whizbang.models import InboxMessage, OutboxMessage

Status = InboxMessage.Status
_FINISHED = (Status.HANDLED, Status.FAILED, Status.EXPIRED)


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a command."""

    status: str
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    # A result that was larger than MAX_RESULT_BYTES is not sent.
    is_result_kept: bool = True


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Reply).decode
_decode_metadata = msgspec.json.Decoder(WireMetadata).decode
NOT_KEPT = b"\0"


def send_answers(
    rows: Sequence[InboxMessage],
    status: str,
    *,
    using: str,
    results: Sequence[bytes | None] = (),
    error: str = "",
) -> None:
    """Send what became of commands to the services that ask, in the transaction that decides it."""
    asked = [
        _outbox_row(row, status, result, error)
        for row, result in zip(rows, results or [None] * len(rows), strict=True)
        if row.reply_to and row.reply_to != settings.SERVICE
    ]
    if asked:
        OutboxMessage.objects.using(using).bulk_create(asked)


def _outbox_row(row: InboxMessage, status: str, result: bytes | None, error: str) -> OutboxMessage:
    is_kept = result != NOT_KEPT
    reply = Reply(
        status=status,
        result=msgspec.Raw(result if result and is_kept else b"null"),
        error=error,
        is_result_kept=is_kept,
    )
    id = make_id()
    values = settings.get()
    meta = WireMetadata(
        message_id=id,
        correlation_id=row.message_id,
        causation_id=row.message_id,
        service=values.SERVICE,
        region=values.REGION,
        traceparent=_decode_metadata(bytes(row.metadata)).traceparent if row.metadata else None,
    )
    return OutboxMessage(
        kind=Kind.REPLY.value,
        service=row.reply_to,
        message_id=id,
        type=row.type,
        schema=row.schema,
        payload=_encode(reply),
        metadata=_encode(meta),
        occurred_at=row.occurred_at,
        available_at=Now(),
        lane=lane_of(None, id),
    )


def note_refused(row: OutboxMessage, reason: str, *, using: str) -> None:
    """Let whoever waits here for the answer to a command know that it will never get there."""
    if row.kind == Kind.COMMAND and row.reply_to:
        values = {"status": Status.FAILED, "error": reason, "finished_at": Now()}
        _keep(row.service, row.message_id, values, row, using)


def is_reply(message: BrokerMessage) -> bool:
    """Does it say what became of which command?"""
    try:
        found = _decode(message.payload)
    except msgspec.MsgspecError:
        return False
    return found.status in _FINISHED and message.metadata.causation_id is not None


def store_replies(messages: Sequence[BrokerMessage], *, using: str) -> None:
    """Keep answers where receipts look; an answer that came before is not overwritten by one like it."""
    for message in messages:
        reply = _decode(message.payload)
        values: dict[str, Any] = {
            "status": reply.status,
            "error": reply.error,
            "result": _result_of(reply),
            "finished_at": Now(),
        }
        asked = message.metadata.causation_id
        _keep(message.metadata.service, asked, values, message, using)


def _keep(service: str, asked: Any, values: dict[str, Any], about: Any, using: str) -> None:
    """The receipt of a command that another service handles, in this service's inbox."""
    InboxMessage.objects.using(using).update_or_create(
        service=service,
        message_id=asked,
        defaults=values,
        create_defaults={
            **values,
            "type": about.type,
            "schema": about.schema,
            "payload_hash": b"",
            "occurred_at": about.occurred_at,
            "available_at": Now(),
            "mode": "remote",
        },
    )


def _result_of(reply: Reply) -> bytes | None:
    if not reply.is_result_kept:
        return NOT_KEPT
    result = bytes(reply.result)
    return None if result == b"null" else result
