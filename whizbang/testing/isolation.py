"""Declarations that last for one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from whizbang.domain import aggregate
from whizbang.messages import base, becoming, types
from whizbang.projections import declaration, inline
from whizbang.routing.registry import registry
from whizbang.sagas import saga


@contextmanager
def isolated() -> Iterator[None]:
    """Forget the messages, aggregates, handlers, projections and sagas declared inside the block."""
    gone, retired = dict(becoming.gone), set(becoming.retired)
    messages, aggregates = list(base.declared), list(aggregate.declared)
    projections, subscribers = list(declaration.declared), list(registry.subscribers)
    sagas = list(saga.declared)
    handlers = {message: list(known) for message, known in registry.handlers.items()}
    try:
        yield
    finally:
        base.declared[:] = messages
        _restore(becoming.gone, gone)
        becoming.retired.intersection_update(retired)
        aggregate.declared[:] = aggregates
        declaration.declared[:] = projections
        registry.subscribers[:] = subscribers
        saga.declared[:] = sagas
        _restore(registry.handlers, handlers)
        registry.changed()
        types.forget_names()
        inline.forget()


def _restore(known: dict[Any, Any], before: dict[Any, Any]) -> None:
    known.clear()
    known.update(before)
