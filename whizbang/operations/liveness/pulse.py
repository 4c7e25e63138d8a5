"""What the turns of one thread say about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class State(StrEnum):
    """From the worst to the best: what has several states is in the first of them."""

    ENDED = "ended"  # its thread is gone, and should not be
    STUCK = "stuck"  # a turn takes longer than it may
    STOPPING = "stopping"
    FAILING = "failing"  # the last turn failed: an error, or the database or the broker is away
    STARTING = "starting"  # no turn has ended yet
    OK = "ok"


def worst(states: Iterator[State]) -> State:
    """`State.OK` where there are none."""
    order = list(State)
    return min(states, key=order.index, default=State.OK)


class Pulse:
    """Noted by the thread itself, and read by others."""

    def __init__(self, *, is_bounded: bool = True) -> None:
        """`is_bounded`: a turn must end in time; a rebuild is one turn, however long it takes."""
        self._is_bounded = is_bounded
        self._began_at: float | None = None  # the turn that runs
        self._state = State.STARTING
        self._ends_in = State.OK

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A turn begins and ends here; it went well unless it raises, or says fail()."""
        self._began_at = time.monotonic()
        self._ends_in = State.OK
        try:
            yield
        except BaseException:
            self._ends_in = State.FAILING
            raise
        finally:
            self._state, self._began_at = self._ends_in, None

    def fail(self) -> None:
        """The turn that runs does not go well."""
        self._ends_in = State.FAILING

    def state(self, *, stuck_seconds: float) -> State:
        began_at = self._began_at
        if began_at is None:
            return self._state
        if not self._is_bounded:
            return State.OK if self._state == State.STARTING else self._state
        return State.STUCK if time.monotonic() - began_at > stuck_seconds else self._state
