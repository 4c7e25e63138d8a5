"""Commit: append what was recorded and write inline projections."""

from __future__ import annotations

from typing import Any

from django.db import connections, transaction

from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope
from whizbang.pipeline.stage import Stage


class Commit(Stage):
    """Ends the unit of work. A nested message leaves that to the outermost one."""

    needs_effects = True

    def applies_to(self, message_type: type[Message]) -> bool:
        return message_type.__whizbang__.kind == "command"

    def __call__(self, envelope: Envelope) -> Any:
        unit = envelope.unit
        if unit is None or unit.cause is not envelope:
            return self.next_stage(envelope)
        using = unit.store.using
        if connections[using].in_atomic_block:
            unit.commit()
            return self.next_stage(envelope)
        with transaction.atomic(using=using):  # the handler ran without a transaction
            unit.commit()
            return self.next_stage(envelope)
