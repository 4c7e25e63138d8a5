"""Chains of stages, compiled once per message type from `WHIZBANG["PIPELINE"]`."""

from __future__ import annotations

import time
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from django.utils.module_loading import import_string

from whizbang import signals
from whizbang.conf import settings
from whizbang.drivers.telemetry import telemetry
from whizbang.exceptions import HandlerNotFound, WhizbangError
from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope
from whizbang.pipeline.stage import NextStage, Stage
from whizbang.routing.registry import registry

Chain = Callable[[Envelope], Any]
# Behind the last stage.
_result_of: Chain = attrgetter("result")
_callbacks: list[Callable[[], None]] = []


class Chains(dict[type[Message], Chain]):
    """Compiled chains by message type; one that is missing is compiled when it is looked up."""

    def __init__(self, is_wanted: Callable[[type], bool], *, needs_handler: bool) -> None:
        self._is_wanted, self._needs_handler = is_wanted, needs_handler

    def __missing__(self, message_type: type[Message]) -> Chain:
        if self._needs_handler:
            _check_handlers(message_type)
        chain = self[message_type] = compile_chain(message_type, self._is_wanted)
        return chain


# The whole way of a message, for the handler's result.
chains = Chains(lambda stage: True, needs_handler=True)
# Only what is checked before a message is stored.
edges = Chains(lambda stage: _is_at_edge(stage), needs_handler=False)
# What is left for a message that was checked when it was stored.
queued_chains = Chains(lambda stage: not _is_at_edge(stage), needs_handler=True)


def compile_chain(message_type: type[Message], is_wanted: Callable[[type], bool]) -> Chain:
    """Bind the configured stages to each other, last first; bound methods, since they are cheap."""
    is_observed = bool(signals.stage_finished.receivers) or telemetry.is_enabled()
    next_stage: NextStage = _result_of
    without_effects: NextStage = _result_of
    for path in reversed(settings.get().PIPELINE):
        stage_class = import_string(path)
        if not is_wanted(stage_class):
            continue
        stage = stage_class(next_stage)
        applies = getattr(stage, "applies_to", None)
        if applies is not None and not applies(message_type):
            continue
        if isinstance(stage, Stage):
            stage.next_without_effects = without_effects
        next_stage = stage.__call__
        if is_observed:
            next_stage = _Observed(stage_class, next_stage).__call__
        if is_observed or not getattr(stage_class, "needs_effects", False):
            without_effects = next_stage
    return next_stage


def _check_handlers(message_type: type[Message]) -> None:
    handlers = registry.handlers.get(message_type, [])
    type_name = message_type.__whizbang__.type_name
    if not handlers:
        raise HandlerNotFound(type_name)
    if len(handlers) > 1:
        names = ", ".join(handler.name for handler in handlers)
        raise WhizbangError(f"{type_name} has several handlers: {names}. Keep one of them.")


def _is_at_edge(stage_class: type) -> bool:
    return getattr(stage_class, "runs_at_edge", False)


class _Observed:
    """Tells listeners and telemetry how long a stage took, those behind it included."""

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
            seconds = time.perf_counter() - started
            type_name = type(envelope.message).__whizbang__.type_name
            telemetry.stage_finished(self._class.__name__, type_name, seconds, error)
            signals.stage_finished.send(
                sender=self._class, envelope=envelope, duration_seconds=seconds, error=error
            )


def forget() -> None:
    """Compile again: settings, listeners or handlers changed."""
    for known in (chains, edges, queued_chains):
        known.clear()
    for callback in _callbacks:
        callback()


def on_forget(callback: Callable[[], None]) -> None:
    """Call `callback()` when compiled chains are no longer valid."""
    _callbacks.append(callback)


settings.on_change(forget)
registry.on_change(forget)
signals.on_listeners_changed(forget)
