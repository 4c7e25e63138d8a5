"""Transaction: everything of one command commits together, and is tried again after a conflict."""

from __future__ import annotations

import random
import time
from typing import Any

from django.db import OperationalError, connections, transaction

from whizbang.drivers.errors import is_conflict
from whizbang.exceptions import ConcurrencyError
from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope
from whizbang.pipeline.stage import Stage
from whizbang.routing.registry import registry
from whizbang.store.event_store import event_store


class Transaction(Stage):
    """Opens a transaction on the store's database, or joins the caller's under a savepoint.

    Only where it opened the transaction does it run the rest again after a ConcurrencyError. A
    handler with atomic=False gets none of its own, but joins the unit of work that sent it.
    """

    def applies_to(self, message_type: type[Message]) -> bool:
        handler = registry.handler_of(message_type)
        self._retries = handler.retries if handler else 0
        self._is_atomic = handler is None or handler.atomic
        return message_type.__whizbang__.kind == "command"

    def __call__(self, envelope: Envelope) -> Any:
        shared = envelope.unit
        if shared is not None:
            if envelope.is_batch_member:
                return self.next_stage(envelope)
            return self._nest(envelope, shared)
        if not self._is_atomic:
            return self.next_stage(envelope)
        using = event_store(envelope.using).using
        if connections[using].in_atomic_block:
            return self._run_once(envelope, using)
        return self._run_with_retries(envelope, using)

    def _nest(self, envelope: Envelope, shared: Any) -> Any:
        """Run in the unit of work of the message that sent this one; undo its part if it fails."""
        mark = shared.mark()
        try:
            with transaction.atomic(using=shared.store.using):
                return self.next_stage(envelope)
        except BaseException:
            shared.return_to(mark)
            raise

    def _run_with_retries(self, envelope: Envelope, using: str) -> Any:
        for attempt in range(self._retries + 1):
            try:
                return self._run_once(envelope, using)
            except ConcurrencyError as exc:
                if attempt == self._retries or exc.is_lasting:
                    raise
                # A little disorder keeps two rivals from meeting again.
                time.sleep(random.uniform(0, 0.005 * 2**attempt))
        raise AssertionError("unreachable")

    def _run_once(self, envelope: Envelope, using: str) -> Any:
        envelope.unit = None
        try:
            with transaction.atomic(using=using):
                return self.next_stage(envelope)
        except OperationalError as exc:
            if is_conflict(exc):
                name = type(envelope.message).__whizbang__.type_name
                raise ConcurrencyError(name, "no conflict in the database", None) from exc
            raise
