"""Declarations that last for one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from whizbang.domain import aggregate
from whizbang.messages import base, types
from whizbang.projections import declaration, inline
from whizbang.routing.registry import registry


@contextmanager
def isolated() -> Iterator[None]:
    """Forget the messages, aggregates, handlers and projections declared inside the block."""
    messages, aggregates = list(base.declared), list(aggregate.declared)
    projections, subscribers = list(declaration.declared), list(registry.subscribers)
    handlers = {message: list(known) for message, known in registry.handlers.items()}
    try:
        yield
    finally:
        base.declared[:] = messages
        aggregate.declared[:] = aggregates
        declaration.declared[:] = projections
        registry.subscribers[:] = subscribers
        registry.handlers.clear()
        registry.handlers.update(handlers)
        registry.changed()
        types.forget_names()
        inline.forget()
