"""A replay: today's code over the messages that one instance has heard, compared with what it did then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from whizbang.exceptions import WhizbangError
from whizbang.operations.sagas.comparing import (
    Difference,
    Differs,
    differences,
    guarded,
    outcome_today,
    recorded_outcome,
    state_differences,
)
from whizbang.operations.sagas.finding import saga_named
from whizbang.operations.sagas.hearing import take
from whizbang.operations.sagas.rehearsing import rehearse_step
from whizbang.operations.sagas.turns import Turn, turns_of
from whizbang.sagas.messages import SagaReacted, SagaTimedOut
from whizbang.sagas.performing import Performed, Performer
from whizbang.sagas.saga import Saga
from whizbang.sagas.standing import Standing
from whizbang.sagas.subscription import SagaSubscription
from whizbang.store.event_store import event_store

_MOST_KEPT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferingStep:
    """A step that comes out differently today."""

    version: int  # of the instance's stream
    message: str  # the type of what it reacted to, or the timeout's name
    position: int | None  # of the message in the log
    differences: tuple[Difference, ...]


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What was replayed. `steps` that reacted to something were compared; the first 100 that differ are kept."""

    saga: str
    key: str
    steps: int = 0
    differing: int = 0
    found: list[DifferingStep] = field(default_factory=list)

    @property
    def is_same(self) -> bool:
        return not self.differing


def replay(name: str, key: str, *, is_keeping_going: bool = False) -> Replayed:
    """Run each recorded step again by today's code, with nothing sent, and compare; ends where it differs.

    Messages are read with an operator's edited copies, as the saga reads them. Where `is_keeping_going`,
    each later step begins where the recorded one did. Commands are compared by type and content, what is due
    some time later by its name, or by the instant where the code names one.

    Raises WhizbangError where there is no such saga or instance.
    """
    result = Replayed(saga=name, key=key)
    for found in _Replay(saga_named(name), key).run(result):
        result.differing += 1
        if len(result.found) < _MOST_KEPT:
            result.found.append(found)
        if not is_keeping_going:
            break
    return result


class _Replay:
    def __init__(self, saga: type[Saga], key: str) -> None:
        self._store = event_store()
        self._saga, self._type = saga, saga.state_type()
        self._subscription = SagaSubscription(self._store, saga)
        self._recorded = Standing(saga, key)  # before the turn at hand

    def run(self, result: Replayed) -> Iterator[DifferingStep]:
        turn = None
        for turn in turns_of(self._store, self._recorded.stream):
            found: tuple[Difference, ...] = ()
            if isinstance(turn.event, SagaReacted | SagaTimedOut):
                result.steps += 1
                found = self._compare(turn)
            self._recorded.apply(turn.event, turn.meta)
            if turn.ending is not None:
                self._recorded.apply(*turn.ending)
            if found:
                yield _differing(turn, found)
        if turn is None:
            raise WhizbangError(f"{result.saga} has no instance with the key {result.key!r}.")

    def _compare(self, turn: Turn) -> tuple[Difference, ...]:
        before, using = self._copy(), self._store.using
        ending = None if turn.ending is None else turn.ending.event
        try:
            performed = self._take_step(turn, before)
            state = self._own_fields(before.state | performed.changes)
            then = guarded("state", using, self._state_after, turn)
            today = guarded("error", using, outcome_today, performed, before.compensations)
            recorded = guarded("message", using, recorded_outcome, turn.event.step, ending)
        except Differs as exc:
            return (exc.difference,)
        return (*differences(recorded, today), *state_differences(then, state))

    def _take_step(self, turn: Turn, before: Standing) -> Performed:
        using, is_first = self._store.using, not before.schema
        taken = take(self._subscription, before.key, turn, is_first=is_first)
        performer = guarded("state", using, Performer, before)
        guarded("error", using, performer.fill, taken.starters, taken.message)
        return guarded("error", using, rehearse_step, self._store, performer, taken)

    def _copy(self) -> Standing:
        """Where it stood, for today's code to go on from: what is recorded stays as it is."""
        now = self._recorded
        return replace(now, timeouts={**now.timeouts}, compensations=[*now.compensations])

    def _state_after(self, turn: Turn) -> dict[str, Any]:
        """As today's class reads it. Raises WhizbangError for one that does not fit."""
        after = self._copy()
        after.apply(turn.event, turn.meta)
        after.upcast_to(self._saga.__whizbang_steps__.schema)
        return self._type.dump(self._type.load(after.state))

    def _own_fields(self, state: dict[str, Any]) -> dict[str, Any]:
        """Without what the class had once."""
        return {name: value for name, value in state.items() if name in self._type.fields}


def _differing(turn: Turn, found: tuple[Difference, ...]) -> DifferingStep:
    event, is_timeout = turn.event, isinstance(turn.event, SagaTimedOut)
    return DifferingStep(
        version=turn.meta.version,
        message=event.name if is_timeout else event.type,
        position=None if is_timeout else event.position,
        differences=found,
    )
