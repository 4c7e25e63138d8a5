"""Respond: complete the receipt and give the result back."""

from __future__ import annotations

from typing import Any

from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope
from whizbang.messaging.completion import complete
from whizbang.pipeline.stage import Stage


class Respond(Stage):
    """Marks a queued or deduplicated message as handled, in the transaction of its effects."""

    needs_effects = True

    def applies_to(self, message_type: type[Message]) -> bool:
        return message_type.__whizbang__.kind == "command"

    def __call__(self, envelope: Envelope) -> Any:
        if envelope.receipt is not None:
            unit = envelope.unit
            if envelope.is_batch_member:
                unit.completed.append((envelope.receipt, type(envelope.message), envelope.result))
            else:
                envelope.result = complete(
                    envelope.receipt, envelope.result, type(envelope.message)
                )
        return self.next_stage(envelope)
