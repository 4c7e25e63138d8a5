"""Trace: a span a message, where an OpenTelemetry SDK is set up."""

from __future__ import annotations

from typing import Any

import msgspec

from whizbang.drivers.telemetry import telemetry
from whizbang.drivers.telemetry.base import NoTelemetry
from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope
from whizbang.pipeline.chain import forget
from whizbang.pipeline.stage import Stage


class Trace(Stage):
    """Opens a span around the handler and carries its traceparent on to events and messages."""

    def applies_to(self, message_type: type[Message]) -> bool:
        self._type_name = message_type.__whizbang__.type_name
        self._is_enabled = telemetry.is_enabled
        self._was_enabled = self._is_enabled()
        return not isinstance(telemetry, NoTelemetry)

    def __call__(self, envelope: Envelope) -> Any:
        if not self._is_enabled():
            return self.next_stage(envelope)
        if not self._was_enabled:
            forget()  # an SDK was set up since: from the next message on all stages are seen
        parent = envelope.parent.traceparent if envelope.parent is not None else None
        if parent is None and envelope.receipt is not None:
            parent = envelope.metadata.traceparent
        with telemetry.span(
            f"process {self._type_name}",
            parent=parent,
            attributes={
                "messaging.system": "whizbang",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": self._type_name,
                "messaging.message.id": str(envelope.message_id),
                "messaging.message.conversation_id": str(envelope.metadata.correlation_id),
            },
        ) as traceparent:
            envelope.metadata = msgspec.structs.replace(envelope.metadata, traceparent=traceparent)
            return self.next_stage(envelope)
