"""The story of one instance: each step with what caused it, and what came of the commands that it sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from whizbang.models import SagaTimeout
from whizbang.operations.sagas.causes import Cause, causes_of
from whizbang.operations.sagas.effects import Effect, Effects, Sent, find_effects
from whizbang.operations.sagas.finding import saga_named
from whizbang.operations.sagas.instance import Plan
from whizbang.operations.sagas.sent import Fate, fates_of
from whizbang.sagas.messages import (
    SagaCancelled,
    SagaCompleted,
    SagaFailed,
    SagaReacted,
    SagaStarted,
    SagaTimedOut,
    SagaTimeoutHastened,
    SagaTimeoutSkipped,
    SentCommand,
)
from whizbang.sagas.standing import stream_of
from whizbang.sagas.steps import standing_from_stream
from whizbang.store.event_store import EventStore, Recorded, event_store

_PAGE_STEPS = 50
LOOK_AHEAD_EVENTS = 1000
_KINDS: dict[type, str] = {
    SagaStarted: "started",
    SagaReacted: "reacted",
    SagaTimedOut: "timed out",
    SagaTimeoutHastened: "timeout hastened",
    SagaTimeoutSkipped: "timeout skipped",
    SagaCompleted: "completed",
    SagaFailed: "failed",
    SagaCancelled: "cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryCommand:
    """A command that a step has sent. `is_cut`: its events were looked for in a part of the log only."""

    type: str
    data: dict[str, Any]
    message_id: UUID
    due_at: datetime | None
    fate: Fate
    effects: tuple[Effect, ...]
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTimeout:
    name: str
    due_at: datetime
    is_waiting: bool  # still


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryStep:
    """One event of an instance's stream, in words and with what belongs to it.

    `kind` is "started", "reacted", "timed out", "timeout hastened", "timeout skipped", "completed", "failed" or
    "cancelled". `commands` of the last two undo the steps before. `state` is all of it after this step, where
    that was asked for.
    """

    version: int
    position: int
    kind: str
    recorded_at: datetime
    occurred_at: datetime
    cause: Cause | None = None
    timeout: str = ""  # that came due, was made due, or was skipped
    due_at: datetime | None = None
    methods: tuple[str, ...] = ()
    changes: dict[str, Any] | None = None
    commands: tuple[StoryCommand, ...] = ()
    timeouts: tuple[SetTimeout, ...] = ()
    cancelled: tuple[str, ...] = ()
    compensations: tuple[Plan, ...] = ()
    reason: str = ""
    operator: str = ""
    state: dict[str, Any] | None = None


def steps_of(
    name: str,
    key: str,
    *,
    after: int = 0,
    until: int | None = None,
    look_ahead: int = LOOK_AHEAD_EVENTS,
    with_states: bool = False,
) -> Iterator[StoryStep]:
    """The steps with after < version <= until, read page by page as they are taken.

    Which events a command has caused is told by those that the instance has heard, and by the `look_ahead`
    events of the log behind each step. Raises WhizbangError where there is no such saga.
    """
    return _Storyteller(name, key, look_ahead).tell(after, until, with_states=with_states)


class _Storyteller:
    def __init__(self, name: str, key: str, look_ahead: int) -> None:
        self._store: EventStore = event_store()
        self._saga, self._key, self._look_ahead = saga_named(name), key, look_ahead
        self._stream = stream_of(self._saga, key)

    def tell(self, after: int, until: int | None, *, with_states: bool) -> Iterator[StoryStep]:
        standing = None
        if with_states:
            standing = standing_from_stream(self._store, self._saga, self._key, until=after)
        while page := self._read_page(after, until):
            for recorded, step in zip(page, self._tell_page(page), strict=True):
                if standing is not None:
                    standing.apply(*recorded)
                    step = replace(step, state=standing.state)
                yield step
            after = page[-1].meta.version

    def _read_page(self, after: int, until: int | None) -> list[Recorded]:
        found = self._store.read_stream(self._stream, after=after, until=until, limit=_PAGE_STEPS)
        return list(islice(found, _PAGE_STEPS))

    def _tell_page(self, page: Sequence[Recorded]) -> list[StoryStep]:
        heard = [recorded.event for recorded in page if isinstance(recorded.event, SagaReacted)]
        causes = causes_of(self._store, self._saga.name(), heard)
        sent = [
            Sent(meta.position, [command.message_id for command in _commands_of(event)])
            for event, meta in page
            if _commands_of(event)
        ]
        effects = find_effects(self._store, sent, most=self._look_ahead)
        _add_heard(effects, causes.values())
        fates = fates_of(
            [id for step in sent for id in step.ids],
            using=self._store.using,
        )
        waiting = SagaTimeout.objects.using(self._store.using).filter(stream=self._stream)
        due = set(waiting.values_list("name", "due_at"))
        return [_Telling(recorded, causes, effects, fates, due).tell() for recorded in page]


def _commands_of(event: Any) -> Sequence[SentCommand]:
    if isinstance(event, SagaReacted | SagaTimedOut):
        return event.step.commands
    return event.commands if isinstance(event, SagaFailed | SagaCancelled) else ()


def _add_heard(effects: Effects, causes: Any) -> None:
    """What the instance has heard later is known without reading the log for it."""
    for cause in causes:
        known = effects.by_command.get(cause.causation_id)
        if known is None or any(effect.position == cause.position for effect in known):
            continue
        known.append(
            Effect(
                type=cause.type,
                stream=cause.stream,
                version=cause.version,
                position=cause.position,
                service=cause.service,
            )
        )
        known.sort(key=lambda effect: effect.position)


@dataclass(frozen=True, slots=True)
class _Telling:
    """One step, and what is known of the page that it stands in."""

    recorded: Recorded
    causes: dict[int, Cause]
    effects: Effects
    fates: dict[UUID, Fate]
    due: set[tuple[str, datetime]]

    def tell(self) -> StoryStep:
        event, meta = self.recorded
        assert meta.recorded_at is not None  # of stored events it is known
        told = StoryStep(
            version=meta.version,
            position=meta.position,
            kind=_KINDS.get(type(event), meta.type),
            recorded_at=meta.recorded_at,
            occurred_at=meta.occurred_at,
            commands=tuple(map(self._command, _commands_of(event))),
        )
        if isinstance(event, SagaReacted):
            return self._with_step(told, cause=self.causes[event.position])
        if isinstance(event, SagaTimedOut):
            return self._with_step(told, timeout=event.name, due_at=event.due_at)
        if isinstance(event, SagaTimeoutHastened):
            return replace(
                told,
                timeout=event.name,
                due_at=event.due_at,
                reason=event.reason,
                operator=event.by,
            )
        if isinstance(event, SagaTimeoutSkipped):
            return replace(told, timeout=event.name, reason=event.reason, operator=event.by)
        if isinstance(event, SagaFailed):
            return replace(told, reason=event.reason)
        if isinstance(event, SagaCancelled):
            return replace(told, reason=event.reason, operator=event.by)
        return told

    def _with_step(self, told: StoryStep, **more: Any) -> StoryStep:
        step = self.recorded.event.step
        return replace(
            told,
            methods=tuple(step.methods),
            changes=step.changes,
            timeouts=tuple(
                SetTimeout(
                    name=item.name,
                    due_at=item.due_at,
                    is_waiting=(item.name, item.due_at) in self.due,
                )
                for item in step.timeouts
            ),
            cancelled=tuple(step.cancelled),
            compensations=tuple(Plan(type=p.type, data=p.data) for p in step.compensations),
            **more,
        )

    def _command(self, sent: SentCommand) -> StoryCommand:
        return StoryCommand(
            type=sent.type,
            data=sent.data,
            message_id=sent.message_id,
            due_at=sent.due_at,
            fate=self.fates[sent.message_id],
            effects=tuple(self.effects.by_command[sent.message_id]),
            is_cut=self.recorded.meta.position in self.effects.cut,
        )
