"""What a recorded step reacted to, as today's code takes it."""

from __future__ import annotations

from typing import Any, NamedTuple

from whizbang.messages.metadata import Metadata
from whizbang.operations.sagas.comparing import Difference, Differs, guarded
from whizbang.operations.sagas.turns import Turn
from whizbang.projections.declaration import By
from whizbang.sagas.messages import SagaReacted
from whizbang.sagas.subscription import Heard, SagaSubscription


class Taken(NamedTuple):
    """The methods to call, with what, and on which message; `starters` fill a new instance's fields."""

    methods: list[str]
    args: list[Any]
    message: Any
    meta: Metadata
    starters: list[tuple[str, By]]


def take(subscription: SagaSubscription, key: str, turn: Turn, *, is_first: bool) -> Taken:
    """Raises `Differs` where the message is gone or unreadable, and where today nothing would be called."""
    if isinstance(turn.event, SagaReacted):
        return _take_event(subscription, key, turn, is_first=is_first)
    method = subscription.saga.timeouts.get(turn.event.name)
    if method is None:
        raise _nothing_called(turn)
    return Taken([method], [], turn.event, turn.meta, [])


def _take_event(subscription: SagaSubscription, key: str, turn: Turn, *, is_first: bool) -> Taken:
    heard = _hear(subscription, key, turn)
    reactions = heard.reactions
    if is_first:
        reactions = [item for item in reactions if subscription.saga.starts_with(item[0])]
    if not reactions:
        raise _nothing_called(turn)
    methods = [name for name, _ in reactions]
    return Taken(methods, [heard.event], heard.event, heard.meta, reactions if is_first else [])


def _hear(subscription: SagaSubscription, key: str, turn: Turn) -> Heard:
    store, position = subscription.store, turn.event.position
    rows = list(store.driver.read_log(after=position - 1, until=position, limit=1))
    if not rows:
        gone = f"The log has no event at position {position} any more."
        raise Differs(Difference(what="message", recorded=turn.event.type, today=gone))
    read = guarded("message", store.using, subscription.read, rows)
    routed = guarded(
        "error", store.using, lambda: [h for r in read for h in subscription.route(*r)]
    )
    own = [heard for heard in routed if heard.key == key]
    if turn.part >= len(own):
        raise _nothing_called(turn)
    return own[turn.part]


def _nothing_called(turn: Turn) -> Differs:
    return Differs(Difference(what="methods", recorded=turn.event.step.methods, today=[]))
