"""Deduplicate: the same message id is handled once and answered alike."""

from __future__ import annotations

from typing import Any

from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope
from whizbang.messaging import completion
from whizbang.pipeline.stage import Stage


class Deduplicate(Stage):
    """Works for ids given by the caller; queued messages were deduplicated when they were stored.

    Raises `MessageIdReused` when the id came with another payload before.
    """

    def applies_to(self, message_type: type[Message]) -> bool:
        return message_type.__whizbang__.kind == "command"

    def __call__(self, envelope: Envelope) -> Any:
        if envelope.given_id is None or envelope.receipt is not None:
            return self.next_stage(envelope)
        receipt, is_new = completion.open_receipt(envelope)
        if not is_new:
            return completion.answer_again(receipt, type(envelope.message))
        envelope.receipt = receipt
        try:
            return self.next_stage(envelope)
        except BaseException:
            envelope.receipt = None  # its row is undone too; a retry opens another one
            completion.abandon(receipt)
            raise
