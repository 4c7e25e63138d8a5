"""Validate: types, constraints and the message's own clean()."""

from __future__ import annotations

from typing import Any

from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope
from whizbang.messages.validation import validator
from whizbang.pipeline.stage import Stage


class Validate(Stage):
    """Refuses what does not fit; the handler gets the decoded copy, in every mode the same."""

    runs_at_edge = True

    def applies_to(self, message_type: type[Message]) -> bool:
        self._validate = validator(message_type).validate
        return True

    def __call__(self, envelope: Envelope) -> Any:
        envelope.message, envelope.payload = self._validate(envelope.message)
        return self.next_stage(envelope)
