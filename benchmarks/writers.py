"""Processes that append at the same time: forked once, then told turn by turn what to do.

A turn opens connections, warms them up, waits until every writer is ready, and runs all of them
from one instant to another. Connections are closed afterwards, so that no contestant's idle ones
burden the next, and the server's limit is never reached.
"""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from time import perf_counter
from typing import Any, NamedTuple, Self

from benchmarks.appenders.base import Appender
from benchmarks.measuring import Series, interleave

START_DELAY_SECONDS = 0.01
POLL_SECONDS = 0.02  # of a follower that has seen everything
STOP_SECONDS = 10.0


class Turn(NamedTuple):
    """What one writer does in one turn; `interval_seconds` paces its operations."""

    appender: int
    interval_seconds: float = 0.0


class Slot(NamedTuple):
    """When all writers of a turn start and stop, by the clock that processes share."""

    start: float
    stop: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one writer did in a turn."""

    operations: int
    elapsed_seconds: float
    latencies: Sequence[float] = ()  # seconds an operation took, of paced turns only


class Writers:
    """A pool of writer processes; a context manager. Fork it while no connection is open."""

    def __init__(self, appenders: Sequence[Appender], *, count: int) -> None:
        self._appenders = appenders
        self._count = count
        self._pipes: list[Connection[Any, Any]] = []
        self._processes: list[BaseProcess] = []

    def __enter__(self) -> Self:
        # Forked: importing Django in each of 32 processes would take longer than the measurement.
        context = multiprocessing.get_context("fork")
        for number in range(self._count):
            own, theirs = context.Pipe()
            self._pipes.append(own)
            process = context.Process(
                target=_serve, args=(theirs, self._appenders, number, self._pipes), daemon=True
            )
            process.start()
            theirs.close()
            self._processes.append(process)
        return self

    def __exit__(self, *error: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(STOP_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()

    def run(
        self,
        appender: Appender,
        *,
        writers: int,
        seconds: float,
        interval_seconds: float = 0.0,
        beside: Callable[[Slot], None] | None = None,
    ) -> list[Work]:
        """One turn of the first `writers` processes; `beside` runs here meanwhile."""
        pipes = self._pipes[:writers]
        turn = Turn(self._appenders.index(appender), interval_seconds)
        self._ask(pipes, turn)
        start = perf_counter() + START_DELAY_SECONDS
        slot = Slot(start, start + seconds)
        for pipe in pipes:
            pipe.send(slot)
        if beside is not None:
            beside(slot)
        work = [_answer(pipe) for pipe in pipes]
        self._ask(pipes, None)
        return work

    def _ask(self, pipes: Sequence[Connection[Any, Any]], message: Turn | None) -> None:
        for pipe in pipes:
            pipe.send(message)
        for pipe in pipes:
            _answer(pipe)


def measure_writers(
    pool: Writers, appenders: Sequence[Appender], *, writers: int, rounds: int, seconds: float
) -> dict[str, Series]:
    """Seconds an event took of all writers together, each contestant once a round."""
    taken: dict[str, list[float]] = {each.name: [] for each in appenders}
    for appender in interleave(appenders, rounds):
        work = pool.run(appender, writers=writers, seconds=seconds)
        rate = sum(w.operations / w.elapsed_seconds for w in work) * appender.batch
        taken[appender.name].append(1 / rate)
    return {name: Series(tuple(seconds)) for name, seconds in taken.items()}


def _answer(pipe: Connection[Any, Any]) -> Any:
    answer = pipe.recv()
    if isinstance(answer, str):
        raise RuntimeError(f"A writer failed:\n{answer}")
    return answer


def _serve(
    pipe: Connection[Any, Any],
    appenders: Sequence[Appender],
    number: int,
    inherited: Sequence[Connection[Any, Any]],
) -> None:
    """A writer's life: it ends when the parent closes the pipe."""
    for other in inherited:
        other.close()  # else the parent's end would stay open in here
    try:
        while True:
            _take_turn(pipe, appenders, number)
    except EOFError:
        return
    except BaseException:
        pipe.send(traceback.format_exc())
        raise


def _take_turn(pipe: Connection[Any, Any], appenders: Sequence[Appender], number: int) -> None:
    turn: Turn = pipe.recv()
    appender = appenders[turn.appender]
    appender.open(number)
    try:
        for _ in range(appender.warm_ups):
            appender.append()
        pipe.send(True)
        slot: Slot = pipe.recv()
        _sleep_until(slot.start)
        pipe.send(_run(appender, slot, turn.interval_seconds))
        pipe.recv()
    finally:
        appender.close()
    pipe.send(True)


def _run(appender: Appender, slot: Slot, interval_seconds: float) -> Work:
    if interval_seconds:
        return _run_paced(appender, slot, interval_seconds)
    append, stop = appender.append, slot.stop
    operations, started = 0, perf_counter()
    now = started
    # At least once, however late this process was woken.
    while operations == 0 or now < stop:
        append()
        operations += 1
        now = perf_counter()
    return Work(operations=operations, elapsed_seconds=now - started)


def _run_paced(appender: Appender, slot: Slot, interval_seconds: float) -> Work:
    latencies: list[float] = []
    due = started = perf_counter()
    while not latencies or due < slot.stop:
        _sleep_until(due)
        before = perf_counter()
        appender.append()
        latencies.append(perf_counter() - before)
        due += interval_seconds
    elapsed = perf_counter() - started
    return Work(operations=len(latencies), elapsed_seconds=elapsed, latencies=latencies)


def _sleep_until(instant: float) -> None:
    left = instant - perf_counter()
    if left > 0:
        time.sleep(left)
