"""Handle: calls the handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync

from whizbang.domain.context import Context, current_context
from whizbang.exceptions import WhizbangError
from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope
from whizbang.pipeline.stage import Stage
from whizbang.routing.registry import registry


class Handle(Stage):
    """Calls the message's one handler with a context; an async one runs within the transaction."""

    def applies_to(self, message_type: type[Message]) -> bool:
        handler = registry.handler_of(message_type)
        if handler is None:
            return False
        self._function: Callable[..., Any] = (
            async_to_sync(handler.function) if handler.is_async else handler.function
        )
        self._module = handler.function.__module__
        self._is_query = message_type.__whizbang__.kind == "query"
        self._atomic = handler.atomic and not self._is_query
        return True

    def __call__(self, envelope: Envelope) -> Any:
        envelope.is_atomic = self._atomic
        unit = envelope.unit
        outer = None
        if unit is not None:
            outer, unit.cause = unit.cause, envelope
            before = len(unit.pending) + len(unit.messages)
        else:
            before = 0
        context = Context(envelope, self._module)
        token = current_context.set(context)
        try:
            envelope.result = self._function(envelope.message, context)
        finally:
            current_context.reset(token)
            envelope.is_done = True
            if unit is not None:
                unit.cause = outer
        if self._is_query and envelope.unit is not None:
            _refuse_changes(envelope, before)
        if envelope.unit is None and envelope.receipt is None:
            return self.next_without_effects(envelope)
        return self.next_stage(envelope)


def _refuse_changes(query: Envelope, before: int) -> None:
    """What a query records would be lost, since nothing is committed for it."""
    if len(query.unit.pending) + len(query.unit.messages) > before:
        raise WhizbangError(
            f"The handler of query {type(query.message).__whizbang__.type_name} recorded an event or "
            "sent a command: a query changes nothing. Make it a command."
        )
