"""Which of what a picture of a saga shows one instance has met: what it heard, called and asked for."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from whizbang.operations.sagas.diagram.picture import Follows, MethodEntry, Trigger
from whizbang.operations.sagas.diagram.reading import (
    CANCEL,
    COMPLETE,
    FAIL,
    SEND,
    TIMEOUT,
    UNDO,
)
from whizbang.operations.sagas.finding import saga_named
from whizbang.operations.sagas.turns import Turn, turns_of
from whizbang.sagas.messages import SagaCompleted, SagaFailed, SagaReacted, SagaTimedOut
from whizbang.store.event_store import event_store

MOST_TURNS = 1000  # that are read for one picture


class Taken(NamedTuple):
    """What one instance has met; by method, for two may ask for the same."""

    triggers: frozenset[tuple[str, str, str]] = frozenset()  # method, kind, name
    methods: frozenset[str] = frozenset()
    follows: frozenset[tuple[str, str, str]] = frozenset()  # method, kind, name

    def has_trigger(self, method: MethodEntry, trigger: Trigger) -> bool:
        return (method.name, trigger.kind, trigger.name) in self.triggers

    def has_follows(self, method: MethodEntry, item: Follows) -> bool:
        """Of what the code would have to be run to know it is not told."""
        return item.is_known and (method.name, item.kind, item.name) in self.follows


NOTHING_TAKEN = Taken()


def taken_by(name: str, key: str) -> Taken:
    """Read from the first events of the instance's stream. Raises WhizbangError where there is no such saga."""
    triggers: set[tuple[str, str, str]] = set()
    methods: set[str] = set()
    follows: set[tuple[str, str, str]] = set()
    stream = f"{saga_named(name).name()}-{key}"
    for turn in islice(turns_of(event_store(), stream), MOST_TURNS):
        event = turn.event
        if isinstance(event, SagaReacted):
            trigger = ("event", event.type)
        elif isinstance(event, SagaTimedOut):
            trigger = ("timeout", event.name)
        else:
            continue
        methods.update(event.step.methods)
        for method in event.step.methods:
            triggers.add((method, *trigger))
            follows.update((method, *asked) for asked in _asked(turn))
    return Taken(frozenset(triggers), frozenset(methods), frozenset(follows))


def _asked(turn: Turn) -> list[tuple[str, str]]:
    step, ending = turn.event.step, None if turn.ending is None else turn.ending.event
    asked = [(SEND, command.type) for command in step.commands]
    asked += [(UNDO, plan.type) for plan in step.compensations]
    asked += [(TIMEOUT, waiting.name) for waiting in step.timeouts]
    asked += [(CANCEL, name) for name in step.cancelled]
    if isinstance(ending, SagaCompleted):
        asked.append((COMPLETE, ""))
    if isinstance(ending, SagaFailed):
        asked.append((FAIL, ending.reason))
    return asked
