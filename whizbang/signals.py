"""Signals for those who observe: none of them can change what happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.dispatch import Signal

_listeners_changed: list[Callable[[], None]] = []


class ObservedSignal(Signal):
    """Tells the pipeline when somebody starts or stops listening: without listeners it costs nothing."""

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        result = super().connect(*args, **kwargs)
        for callback in _listeners_changed:
            callback()
        return result

    def disconnect(self, *args: Any, **kwargs: Any) -> bool:
        result = super().disconnect(*args, **kwargs)
        for callback in _listeners_changed:
            callback()
        return result


def on_listeners_changed(callback: Callable[[], None]) -> None:
    _listeners_changed.append(callback)


# sender: the stage's class; envelope, duration_seconds, error (None when it went well).
stage_finished = ObservedSignal()
