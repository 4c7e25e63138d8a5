"""One call at a time that may hang, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connections

from whizbang.messaging.nudge import wake


class Call:
    """Runs a function at once and keeps what it gives or raises."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._result: Any = None
        self._error: BaseException | None = None
        self.is_done = False

    def run(self) -> Call:
        try:
            self._result = self._function()
        except BaseException as exc:
            self._error = exc  # raised where the result is asked for
        self.is_done = True
        return self

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


class BackgroundCall(Call):
    """The same in a thread, which wakes this process's worker when it is done."""

    def run(self) -> Call:
        # A daemon: a hanging product does not keep the process from ending.
        threading.Thread(target=self._run_and_wake, name="whizbang-sink", daemon=True).start()
        return self

    def _run_and_wake(self) -> None:
        super().run()
        connections.close_all()  # this thread's own: a broker may be a database
        wake()
