"""Reads what came over AMQP 0-9-1, which has no binding of CloudEvents: every way that is in use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from whizbang.drivers.brokers.base import BrokerMessage, Malformed
from whizbang.drivers.brokers.cloudevents import from_binary, from_structured

_STRUCTURED = "application/cloudevents"
# Of Knative and of the CloudEvents SDK, of AMQP 1.0, and of Kafka.
_PREFIXES = ("ce-", "cloudEvents:", "cloudEvents_", "ce_")


def read_message(properties: Any, body: bytes) -> BrokerMessage:
    """Raises `Malformed` with what is wrong."""
    content_type = properties.content_type or ""
    if content_type.lower().startswith(_STRUCTURED):
        return from_structured(body)
    headers = properties.headers or {}
    for prefix in _PREFIXES:
        if f"{prefix}specversion" in headers:
            return from_binary(_as_texts(headers), body, prefix=prefix)
    raise Malformed(
        f"It is no CloudEvent: its content type is {content_type[:100]!r}, and it has no header "
        f"{_PREFIXES[0]}specversion."
    )


def _as_texts(headers: Mapping[str, Any]) -> dict[str, str]:
    """Attributes may come in the types of AMQP; an absent one is as good as an empty one."""
    return {name: _as_text(value) for name, value in headers.items() if value is not None}


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, datetime):  # pika reads it in UTC, and leaves the zone out
        return value.replace(tzinfo=value.tzinfo or UTC).isoformat()
    return str(value)
