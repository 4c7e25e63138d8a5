"""Outbox: store what the handler sent, in its transaction."""

from __future__ import annotations

from typing import Any

from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope
from whizbang.messaging.queue import store_messages
from whizbang.pipeline.stage import Stage


class Outbox(Stage):
    """Writes the messages that follow: commands of this service to its inbox, others to the outbox."""

    needs_effects = True

    def applies_to(self, message_type: type[Message]) -> bool:
        return message_type.__whizbang__.kind == "command"

    def __call__(self, envelope: Envelope) -> Any:
        unit = envelope.unit
        if unit is not None and unit.messages and unit.cause is envelope:
            messages, unit.messages = unit.messages, []
            store_messages(messages, using=unit.store.using)
        return self.next_stage(envelope)
