"""Messages to rows of inbox and outbox, and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from whizbang.drivers.clock import database_now
from whizbang.messages.envelope import Envelope
from whizbang.messages.metadata import WireMetadata
from whizbang.messages.types import type_named
from whizbang.messages.validation import validator
from whizbang.store.codec import JSON, codec

encode_metadata = msgspec.json.Encoder().encode
_decode_metadata = msgspec.json.Decoder(WireMetadata).decode


@dataclass(slots=True, kw_only=True)
class NewInboxRow:
    """A row for the inbox. Plain: an instance of the model costs ten times as much to make."""

    service: str
    message_id: UUID
    type: str
    schema: int
    payload: bytes
    payload_hash: bytes
    metadata: bytes
    occurred_at: datetime
    mode: str
    priority: int
    ordering_key: str | None
    available_at: datetime
    expires_at: datetime | None
    reply_to: str = ""
    id: None = None
    token_at: None = None
    status: str = "stored"
    attempts: int = 0
    claim: UUID | None = None
    result: None = None
    error: str = ""
    traceback: str = ""
    finished_at: None = None


def ensure_payload(envelope: Envelope) -> bytes:
    """The message's JSON; validates one whose pipeline has no Validate stage."""
    if envelope.payload is None:
        envelope.message, envelope.payload = validator(type(envelope.message)).validate(
            envelope.message
        )
    return envelope.payload


def columns_of(envelope: Envelope, *, using: str) -> dict[str, Any]:
    """What inbox and outbox rows of a message have in common."""
    payload = ensure_payload(envelope)
    metadata = envelope.metadata
    return {
        "message_id": envelope.message_id,
        "type": metadata.type,
        "schema": type(envelope.message).__whizbang__.schema,
        "payload": payload,
        "metadata": encode_metadata(WireMetadata.of(metadata)),
        "occurred_at": metadata.occurred_at,
        "ordering_key": envelope.ordering_key,
        "available_at": _due_at(envelope, using),
        "expires_at": envelope.expires,
    }


def _due_at(envelope: Envelope, using: str) -> datetime:
    if envelope.at is not None:
        return envelope.at
    now = database_now(using)
    return now + envelope.delay if envelope.delay else now


def envelope_of(row: Any) -> Envelope:
    """The message of a row. Raises UnknownMessageType or DecodeError."""
    where = f"inbox message {row.message_id}"
    message_type = type_named(row.type, where)
    message = codec(message_type, JSON).decode(
        bytes(row.payload), row.schema, ("inbox message", row.message_id)
    )
    made = Envelope(message)
    wire: WireMetadata = _decode_metadata(bytes(row.metadata))
    made.metadata = wire.to_metadata(type=row.type, occurred_at=row.occurred_at)
    made.ordering_key = row.ordering_key
    made.payload = bytes(row.payload)
    return made
