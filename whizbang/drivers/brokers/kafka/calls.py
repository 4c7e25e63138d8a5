"""Calls that librdkafka does not end by itself."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

_R = TypeVar("_R")


class Calls:
    """Runs calls one after another in a thread of its own, so that the caller can stop waiting.

    A synchronous commit and the close of a consumer wait for a coordinator that does not answer as long as
    that takes: 100 seconds later, with every time limit set to 4, they had not come back. The thread is a
    daemon: an executor's would keep the process from ending.
    """

    def __init__(self) -> None:
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def run(self, call: Callable[[], _R], *, timeout_seconds: float) -> _R:
        """Its result. Raises TimeoutError when it goes on without us, and what it raises."""
        if self._thread is None:
            self._thread = Thread(target=self._work, name="whizbang-kafka", daemon=True)
            self._thread.start()
        future: Future[_R] = Future()
        self._waiting.put((future, call))
        return future.result(timeout_seconds)

    def end(self) -> None:
        """No more calls; those that were begun go on."""
        self._waiting.put(None)

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            future, call = item
            try:
                future.set_result(call())
            except BaseException as exc:
                future.set_exception(exc)
