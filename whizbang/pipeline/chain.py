"""Chains of stages, compiled once per message type from `WHIZBANG["PIPELINE"]`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.utils.module_loading import import_string

from whizbang import signals
from whizbang.conf import settings
from whizbang.exceptions import HandlerNotFound
from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope
from whizbang.pipeline.stage import NextStage
from whizbang.routing.registry import registry

# Stages that run where a message is accepted, before it is stored for later.
EDGE_STAGES = ("Validate", "Authorize")

_chains: dict[type[Message], Callable[[Envelope], Any]] = {}
_edges: dict[type[Message], Callable[[Envelope], Any]] = {}
_queued: dict[type[Message], Callable[[Envelope], Any]] = {}
_generation = -1


def chain_of(message_type: type[Message]) -> Callable[[Envelope], Any]:
    """The whole chain of a type: call it with an envelope for the handler's result."""
    found = _chains.get(message_type)
    if found is None or _generation != registry.generation:
        found = _remember(_chains, message_type, lambda name: True)
    return found


def edge_of(message_type: type[Message]) -> Callable[[Envelope], Any]:
    """Only the stages of the edge: what is checked before a message is stored."""
    found = _edges.get(message_type)
    if found is None or _generation != registry.generation:
        found = _remember(_edges, message_type, lambda name: name in EDGE_STAGES)
    return found


def queued_chain_of(message_type: type[Message]) -> Callable[[Envelope], Any]:
    """The stages behind the edge, for a message that was checked when it was stored."""
    found = _queued.get(message_type)
    if found is None or _generation != registry.generation:
        found = _remember(_queued, message_type, lambda name: name not in EDGE_STAGES)
    return found


def _remember(
    chains: dict[type[Message], Callable[[Envelope], Any]],
    message_type: type[Message],
    is_wanted: Callable[[str], bool],
) -> Callable[[Envelope], Any]:
    global _generation
    if _generation != registry.generation:
        forget()
        _generation = registry.generation
    if chains is not _edges and registry.handler_of(message_type) is None:
        raise HandlerNotFound(message_type.__whizbang__.type_name)
    made = chains[message_type] = compile_chain(message_type, is_wanted)
    return made


def compile_chain(
    message_type: type[Message], is_wanted: Callable[[str], bool]
) -> Callable[[Envelope], Any]:
    """Bind the configured stages to each other, last first; bound methods, since they are cheap."""
    is_observed = bool(signals.stage_finished.receivers)
    next_stage: NextStage = _result_of
    for path in reversed(settings.get().PIPELINE):
        stage_class = import_string(path)
        if not is_wanted(stage_class.__name__):
            continue
        stage = stage_class(next_stage)
        applies = getattr(stage, "applies_to", None)
        if applies is None or applies(message_type):
            next_stage = stage.__call__
            if is_observed:
                next_stage = _Observed(stage_class, next_stage).__call__
    return next_stage


def _result_of(envelope: Envelope) -> Any:
    return envelope.result


class _Observed:
    """Tells listeners of `stage_finished` how long a stage took, those behind it included."""

    def __init__(self, stage_class: type, call: NextStage) -> None:
        self._class, self._call = stage_class, call

    def __call__(self, envelope: Envelope) -> Any:
        started = time.perf_counter()
        error: BaseException | None = None
        try:
            return self._call(envelope)
        except BaseException as exc:
            error = exc
            raise
        finally:
            signals.stage_finished.send(
                sender=self._class,
                envelope=envelope,
                duration_seconds=time.perf_counter() - started,
                error=error,
            )


def forget() -> None:
    """Compile again: settings, listeners or handlers changed."""
    _chains.clear()
    _edges.clear()
    _queued.clear()


settings.on_change(forget)
signals.on_listeners_changed(forget)
