"""An instance's stream, replayed: by folding it, and by calling the methods again on what they were given."""

from __future__ import annotations

from typing import Any

import whizbang.sagas.messages as kept
from whizbang import event_store
from whizbang.models import SagaInstance
from whizbang.projections.declaration import By
from whizbang.sagas.performing import Performer, planned
from whizbang.sagas.saga import Saga
from whizbang.sagas.standing import Standing
from whizbang.sagas.steps import standing_from_stream
from whizbang.sagas.subscription import SagaSubscription


def check_fold(saga: type[Saga], key: str) -> None:
    """The row, where there is one, holds what the stream adds up to."""
    row = SagaInstance.objects.filter(stream=f"{saga.name()}-{key}").first()
    if row is None:
        return
    found, folded = Standing.from_row(saga, row), standing_from_stream(event_store(), saga, key)
    found.error = folded.error = ""  # of what is set aside: no event says so
    found.closed_at = folded.closed_at = None
    assert found == folded


def check_replay(saga: type[Saga], key: str) -> None:
    """The methods make the same steps again: the same state, commands, timeouts and compensations."""
    standing = Standing(saga, key)
    for event, meta in event_store().read_stream(standing.stream):
        if isinstance(event, kept.SagaReacted | kept.SagaTimedOut):
            _check_step(standing, event, meta)
        elif isinstance(event, kept.SagaFailed):
            undone = [_plan_of(command) for command in event.commands]
            assert undone == list(reversed(standing.compensations))
        standing.apply(event, meta)


def _check_step(standing: Standing, event: Any, meta: Any) -> None:
    performer = Performer(standing)
    if isinstance(event, kept.SagaTimedOut):
        methods, args = [standing.saga.timeouts[event.name]], []
    else:
        methods, args, meta = _heard(standing, performer, event.position)
    performed = performer.perform(methods, args, meta)
    again, step = performed.to_step(event.step.commands, meta.occurred_at), event.step
    assert (again.methods, again.changes, again.schema) == (step.methods, step.changes, step.schema)
    assert again.cancelled == step.cancelled and again.compensations == step.compensations
    assert [w.name for w in again.timeouts] == [w.name for w in step.timeouts]
    sent = [planned(sending.command) for sending in performed.work.sent]
    assert sent == [_plan_of(command) for command in step.commands]


def _heard(
    standing: Standing, performer: Performer, position: int
) -> tuple[list[str], list[Any], Any]:
    store, saga = event_store(), standing.saga
    rows = list(store.driver.read_log(after=position - 1, until=position, limit=1))
    ((event, meta),) = SagaSubscription(store, saga).read(rows)
    reactions: list[tuple[str, By]] = list(saga.reactions[type(event)])
    if not standing.schema:
        reactions = [pair for pair in reactions if saga.starts_with(pair[0])]
        performer.fill(reactions, event)
    return [name for name, _ in reactions], [event], meta


def _plan_of(command: kept.SentCommand) -> kept.PlannedCommand:
    return kept.PlannedCommand(type=command.type, schema=command.schema, data=command.data)
