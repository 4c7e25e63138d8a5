"""Our messages as Kafka's records: CloudEvents in binary mode; read in structured mode, too.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from whizbang.drivers.brokers import cloudevents
from whizbang.drivers.brokers.base import BrokerMessage, Kind, Malformed

if TYPE_CHECKING:
    from confluent_kafka import Message

_PREFIX = "ce_"
_CONTENT_TYPE = "content-type"
_STRUCTURED = "application/cloudevents"


def to_record(message: BrokerMessage) -> dict[str, Any]:
    """The arguments of produce(), but for the topic."""
    attributes, payload = cloudevents.to_binary(message, prefix=_PREFIX)
    is_event = message.kind is Kind.EVENT
    return {
        "key": (message.stream if is_event else message.ordering_key) or None,
        "value": payload,
        "headers": [*attributes.items(), (_CONTENT_TYPE, cloudevents.JSON_TYPE)],
    }


def to_message(record: Message, *, is_event: bool, name: str) -> BrokerMessage:
    """Raises `Malformed`. The topic says whether it is an event, and of what, to one that does not say it."""
    message = _decode(_headers_of(record), record.value() or b"")
    if message.destination:
        return message
    if not is_event:
        return msgspec.structs.replace(message, destination=name)
    return msgspec.structs.replace(message, destination=name, kind=Kind.EVENT, ordering_key=None)


def _decode(headers: dict[str, str], value: bytes) -> BrokerMessage:
    if headers.get(_CONTENT_TYPE, "").lower().startswith(_STRUCTURED):
        return cloudevents.from_structured(value)
    return cloudevents.from_binary(headers, value, prefix=_PREFIX)


def _headers_of(record: Message) -> dict[str, str]:
    pairs: Any = record.headers() or []
    try:
        return {name: (value or b"").decode() for name, value in pairs}
    except UnicodeDecodeError as exc:
        raise Malformed(f"It has a header that is no UTF-8: {exc}") from exc
