"""Messages to rows of inbox and outbox, and back."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from whizbang.messages.envelope import Envelope
from whizbang.messages.metadata import WireMetadata
from whizbang.messages.types import type_named
from whizbang.messages.validation import validator
from whizbang.messaging.clock import database_now
from whizbang.store.codec import JSON, codec

_encode = msgspec.json.Encoder().encode
_decode_metadata = msgspec.json.Decoder(WireMetadata).decode


def hash_of(type_name: str, payload: bytes) -> bytes:
    """What tells two payloads apart: 16 bytes of BLAKE2b over type and JSON."""
    return hashlib.blake2b(type_name.encode() + b"\0" + payload, digest_size=16).digest()


def ensure_payload(envelope: Envelope) -> None:
    """Validate and encode a message whose pipeline has no Validate stage."""
    if envelope.payload is None:
        envelope.message, envelope.payload = validator(type(envelope.message)).validate(
            envelope.message
        )


def columns_of(envelope: Envelope, *, using: str) -> dict[str, Any]:
    """What inbox and outbox rows of a message have in common."""
    ensure_payload(envelope)
    info = type(envelope.message).__whizbang__
    return {
        "message_id": envelope.message_id,
        "type": info.type_name,
        "schema": info.schema,
        "payload": envelope.payload,
        "metadata": _encode(WireMetadata.of(envelope.metadata)),
        "occurred_at": envelope.metadata.occurred_at,
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
    message = codec(message_type, JSON).decode(bytes(row.payload), row.schema, where)
    made = Envelope(message)
    wire: WireMetadata = _decode_metadata(bytes(row.metadata))
    made.metadata = wire.to_metadata(type=row.type, occurred_at=row.occurred_at)
    made.ordering_key = row.ordering_key
    made.payload = bytes(row.payload)
    return made
