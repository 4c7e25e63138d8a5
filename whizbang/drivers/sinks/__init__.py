"""Where external projections keep their documents: one object an alias of `WHIZBANG["SINKS"]`."""

from __future__ import annotations

import threading

from django.utils.module_loading import import_string

from whizbang.conf import settings
from whizbang.drivers.sinks.base import Sink
from whizbang.exceptions import WhizbangError

_open: dict[str, Sink] = {}
_lock = threading.Lock()


def sink_of(alias: str) -> Sink:
    """The sink of an alias, shared by all threads. Raises WhizbangError for an alias that is not there."""
    found = _open.get(alias)
    if found is None:
        with _lock:
            found = _open.get(alias) or make_sink(alias)
            _open[alias] = found
    return found


def make_sink(alias: str) -> Sink:
    """A sink as the settings describe it; it connects when it is first used."""
    configured = settings.get().SINKS.get(alias)
    if configured is None:
        known = ", ".join(sorted(settings.SINKS)) or "none"
        raise WhizbangError(f"WHIZBANG['SINKS'] has no {alias!r}; there are: {known}.")
    sink: Sink = import_string(configured["BACKEND"])(alias, configured.get("OPTIONS"))
    return sink


@settings.on_change
def close_all() -> None:
    """Let go of connections; what is asked for next is made anew."""
    with _lock:
        for sink in _open.values():
            sink.close()
        _open.clear()
