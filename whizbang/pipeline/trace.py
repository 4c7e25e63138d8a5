"""Trace: a span a message, where an OpenTelemetry SDK is set up."""

from __future__ import annotations

from typing import Any

import msgspec

from whizbang.drivers.telemetry import telemetry
from whizbang.drivers.telemetry.base import NoTelemetry
from whizbang.drivers.telemetry.operations import Operation, OperationType, subject_of, telling
from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope
from whizbang.pipeline.chain import forget
from whizbang.pipeline.stage import Stage


class Trace(Stage):
    """Opens a span around the handler and carries its traceparent on to events and messages."""

    def applies_to(self, message_type: type[Message]) -> bool:
        self._operation = Operation(
            name="process",
            type=OperationType.PROCESS,
            destination=message_type.__whizbang__.type_name,
            is_batch=False,
        )
        self._is_enabled = telemetry.is_enabled
        self._was_enabled = self._is_enabled()
        return not isinstance(telemetry, NoTelemetry)

    def __call__(self, envelope: Envelope) -> Any:
        if not self._is_enabled():
            return self.next_stage(envelope)
        if not self._was_enabled:
            forget()  # an SDK was set up since: from the next message on all stages are seen
        meta = envelope.metadata
        subject = subject_of(meta.message_id, meta.correlation_id, meta.traceparent)
        try:
            with telling(self._operation, (subject,), count=1) as traceparent:
                if traceparent is not None:
                    envelope.metadata = msgspec.structs.replace(meta, traceparent=traceparent)
                return self.next_stage(envelope)
        except BaseException:
            envelope.metadata = meta  # the next attempt is none of this one's
            raise
