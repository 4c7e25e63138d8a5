"""A part of a worker in a thread of its own, because it waits for a server that may be away, or works for long."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from django.db import connections

from whizbang.conf import settings
from whizbang.drivers.sessions import limit_idle_transactions
from whizbang.messaging import nudge
from whizbang.operations.liveness.pulse import Pulse, State

logger = logging.getLogger(__name__)
_REST_SECONDS = 1.0  # after trouble
_OF_BUSY_POLL = 0.25  # a look costs little, and a message makes several hops, with a wait at each


class Part(Protocol):
    """What a worker runs in turns."""

    @property
    def is_hindered(self) -> bool:
        """Is something away that it needs, which it waits for without an error?"""

    def run_once(self) -> int: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class BackgroundPart:
    """Runs a part until it is stopped; with connections of its own. After trouble the part is made anew."""

    def __init__(
        self, name: str, make: Callable[[], Part], *, using: str, is_bounded: bool = True
    ) -> None:
        """`is_bounded`: its turns are short, so that one which is not is stuck."""
        self.name, self._using = name, using
        self._pulse = Pulse(is_bounded=is_bounded)
        self.count = 0  # of what it has done
        self._make = make
        self._part: Part | None = None
        self._is_stopping = threading.Event()
        self._is_woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"whizbang-{name}", daemon=True)

    def start(self) -> None:
        nudge.wakers.append(self._is_woken.set)
        self._thread.start()

    def stop(self) -> None:
        """End the turn that runs now as soon as it can be, and wait for it; what is left is another worker's."""
        self._is_stopping.set()
        if (part := self._part) is not None:
            part.stop()
        self._is_woken.set()
        self._thread.join()
        nudge.wakers.remove(self._is_woken.set)

    def state(self, *, stuck_seconds: float) -> State:
        if self._thread.ident is not None and not self._thread.is_alive():
            return State.ENDED
        return self._pulse.state(stuck_seconds=stuck_seconds)

    def _run(self) -> None:
        pause = first = settings.BUSY_POLL_SECONDS * _OF_BUSY_POLL
        try:
            while not self._is_stopping.is_set():
                with self._pulse.turn():
                    done = self._turn()
                self.count += done
                pause = first if done else self._rest(pause)
        finally:
            self._close()
            connections.close_all()

    def _rest(self, seconds: float) -> float:
        self._is_woken.wait(seconds)
        self._is_woken.clear()
        return float(min(seconds * 1.5, settings.IDLE_POLL_SECONDS))

    def _turn(self) -> int:
        try:
            if self._part is None:
                # Below the lease, so that a frozen worker's locks are gone when it is taken over.
                limit_idle_transactions(self._using, seconds=settings.LEASE_SECONDS * 0.8)
                self._part = self._make()
            done = self._part.run_once()
            if self._part.is_hindered:
                self._pulse.fail()
            return done
        except Exception:
            self._pulse.fail()
            logger.exception("Trouble, will try again part=%s", self.name)
            self._close()
            connections.close_all()
            self._is_stopping.wait(_REST_SECONDS)
            return 0

    def _close(self) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        try:
            part.close()
        except Exception as exc:
            logger.warning("Leases will expire by themselves part=%s error=%s", self.name, exc)
