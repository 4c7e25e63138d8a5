"""Messages as CloudEvents 1.0, so that consumers that are not ours can read them.

Attributes, their types and the JSON format: https://github.com/cloudevents/spec (v1.0.2); `partitionkey`,
`sequence`, `correlationid`, `causationid`, `expirytime` and `traceparent` are its documented extensions. Positions
travel as strings, since its integers have 32 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from whizbang.drivers.brokers.base import BrokerMessage, Kind, Malformed
from whizbang.messages.metadata import WireMetadata

JSON_TYPE = "application/json"
STRUCTURED_TYPE = "application/cloudevents+json"
STRUCTURED_HEADER = f"{STRUCTURED_TYPE}; charset=UTF-8"
_SOURCE = "urn:whizbang:"
_POSITION_DIGITS = 20  # a sequence is compared as text


class _Structured(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The JSON form; our own attributes have names of the field's, in lower case as it wants them."""

    specversion: str
    id: str
    source: str
    type: str
    datacontenttype: str | None = None
    subject: str | None = None
    time: datetime | None = None
    partitionkey: str | None = None
    sequence: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    traceparent: str | None = None
    expirytime: datetime | None = None
    kind: str | None = None
    destination: str | None = None
    schemaversion: int | str | None = None
    streamversion: str | None = None
    lane: str | None = None
    previousposition: str | None = None
    availabletime: datetime | None = None
    replyto: str | None = None
    actor: str | None = None  # the user
    region: str | None = None
    hops: int | str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Structured).decode


def to_structured(message: BrokerMessage) -> bytes:
    """The whole message as one JSON document, for `STRUCTURED_TYPE`."""
    meta = message.metadata
    is_event = message.kind is Kind.EVENT
    return _encode(
        _Structured(
            specversion="1.0",
            id=str(message.message_id),
            source=_SOURCE + meta.service,
            type=message.type,
            datacontenttype=JSON_TYPE,
            subject=message.stream or None,
            time=message.occurred_at,
            partitionkey=(message.stream if is_event else message.ordering_key) or None,
            sequence=str(message.position).zfill(_POSITION_DIGITS) if is_event else None,
            correlationid=str(meta.correlation_id),
            causationid=str(meta.causation_id) if meta.causation_id else None,
            traceparent=meta.traceparent,
            expirytime=message.expires_at,
            kind=message.kind.value,
            destination=message.destination,
            schemaversion=message.schema,
            streamversion=str(message.version) if is_event else None,
            lane=message.lane or None,
            previousposition=None if message.previous is None else str(message.previous),
            availabletime=message.available_at,
            replyto=message.reply_to or None,
            actor=meta.user,
            region=meta.region or None,
            hops=meta.hops or None,
            data=msgspec.Raw(message.payload),
        )
    )


def from_structured(document: bytes) -> BrokerMessage:
    """Raises `Malformed` with what is wrong; what a sender that is not ours need not say is assumed."""
    try:
        return _to_message(_decode(document))
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise Malformed(f"It is no CloudEvent in JSON: {exc}") from exc


def to_binary(message: BrokerMessage, *, prefix: str) -> tuple[dict[str, str], bytes]:
    """The attributes as texts by header name, each with the prefix of the binding, and the payload.

    The content type is not among them: it is a property or header of the binding's own.
    """
    attributes: dict[str, Any] = msgspec.json.decode(to_structured(message))
    del attributes["data"], attributes["datacontenttype"]
    return {f"{prefix}{name}": str(value) for name, value in attributes.items()}, message.payload


def from_binary(headers: Mapping[str, str], payload: bytes, *, prefix: str) -> BrokerMessage:
    """See from_structured(). Headers without the prefix are not the message's."""
    attributes = {
        name.removeprefix(prefix): value
        for name, value in headers.items()
        if name.startswith(prefix)
    }
    try:
        found = msgspec.convert(attributes, _Structured, strict=False)
        found.data = msgspec.Raw(payload)
        msgspec.json.decode(payload)
        return _to_message(found)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise Malformed(f"It is no CloudEvent with attributes in headers: {exc}") from exc


def _to_message(found: _Structured) -> BrokerMessage:
    if found.specversion != "1.0":
        raise Malformed(f"Its specversion is {found.specversion!r}, not '1.0'.")
    if not found.type or not found.source:
        raise Malformed("It has no type or no source.")
    payload = bytes(found.data)
    if not payload:
        raise Malformed("It has no data.")
    message_id = _to_uuid(found.id, "id")
    return BrokerMessage(
        kind=_to_kind(found.kind),
        destination=found.destination or "",
        message_id=message_id,
        type=found.type,
        schema=_to_number(found.schemaversion, "schemaversion", 1),
        payload=payload,
        metadata=WireMetadata(
            message_id=message_id,
            correlation_id=_to_uuid(found.correlationid or found.id, "correlationid"),
            causation_id=_to_uuid(found.causationid, "causationid") if found.causationid else None,
            user=found.actor,
            service=found.source.removeprefix(_SOURCE),
            region=found.region or "",
            traceparent=found.traceparent,
            hops=_to_number(found.hops, "hops", 0),
        ),
        occurred_at=_aware(found.time) or datetime.now(UTC),
        ordering_key=found.partitionkey if found.kind != Kind.EVENT else None,
        available_at=_aware(found.availabletime),
        expires_at=_aware(found.expirytime),
        reply_to=found.replyto or "",
        stream=found.subject or "",
        version=_to_number(found.streamversion, "streamversion", 0),
        position=_to_number(found.sequence, "sequence", 0),
        lane=found.lane or "",
        previous=(
            None
            if found.previousposition is None
            else _to_number(found.previousposition, "previousposition", 0)
        ),
    )


def _to_uuid(text: str, name: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as exc:
        raise Malformed(f"Its {name} {text[:100]!r} is no UUID.") from exc


def _to_kind(text: str | None) -> Kind:
    try:
        return Kind(text or Kind.COMMAND)
    except ValueError as exc:
        raise Malformed(f"Its kind {str(text)[:100]!r} is none of {', '.join(Kind)}.") from exc


def _to_number(value: int | str | None, name: str, default: int) -> int:
    if value is None:
        return default
    try:
        found = int(value)
    except ValueError as exc:
        raise Malformed(f"Its {name} {str(value)[:100]!r} is no number.") from exc
    if found < 0:
        raise Malformed(f"Its {name} is {found}, below zero.")
    return found


def _aware(time: datetime | None) -> datetime | None:
    if time is not None and time.tzinfo is None:
        raise Malformed(f"Its time {time.isoformat()} has no time zone.")
    return time
