"""A worker in a thread of the web process, where WHIZBANG["WORKER"] is "in_process"."""

from __future__ import annotations

import atexit
import threading
from typing import Any

from django.core.signals import request_started
from django.db import connections

from whizbang.conf import settings
from whizbang.messaging import nudge
from whizbang.operations.worker import Worker

_lock = threading.Lock()
_thread: threading.Thread | None = None
_worker: Worker | None = None


def connect() -> None:
    """Start the thread with the first request or the first message, not with every command."""
    request_started.connect(_start_on_request, dispatch_uid="whizbang.in_process")
    if start_if_wanted not in nudge.starters:
        nudge.starters.append(start_if_wanted)


def start_if_wanted() -> None:
    global _thread, _worker
    if settings.get().WORKER != "in_process" or (_thread is not None and _thread.is_alive()):
        return
    with _lock:
        if _thread is None or not _thread.is_alive():
            _worker = Worker()
            _thread = threading.Thread(target=_run, args=(_worker,), name="whizbang", daemon=True)
            _thread.start()


def stop(timeout_seconds: float = 10.0) -> None:
    """Stop the thread after its current batch and wait for it."""
    global _thread
    if _worker is not None and _thread is not None:
        _worker.stop()
        nudge.wake()
        _thread.join(timeout_seconds)
        _thread = None


def _run(worker: Worker) -> None:
    try:
        worker.run()
    finally:
        connections.close_all()


def _start_on_request(**kwargs: Any) -> None:
    start_if_wanted()


atexit.register(stop)
