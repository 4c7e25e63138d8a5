"""Calls a saga's methods on the state of one instance; what they ask for is collected, not done."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from asgiref.sync import async_to_sync

from whizbang.exceptions import WhizbangError
from whizbang.messages.base import Command, Message
from whizbang.messages.metadata import Metadata
from whizbang.messages.types import type_named
from whizbang.messages.validation import validator
from whizbang.projections.declaration import By
from whizbang.sagas.messages import PlannedCommand, SentCommand, Step, WaitingTimeout
from whizbang.sagas.saga import Saga
from whizbang.sagas.standing import Standing, stream_of
from whizbang.sagas.work import Work
from whizbang.subscriptions.partitioning import text_of_key

_MOST_STREAM = 255  # characters of a stream's name


@dataclass(frozen=True, slots=True)
class Performed:
    """What one message or timeout has made the methods do."""

    methods: list[str]
    work: Work
    changes: dict[str, Any]
    schema: int

    def to_step(self, commands: list[SentCommand], now: datetime) -> Step:
        """As the instance's stream keeps it; `commands` are those that were asked for, as they were sent."""
        timeouts = self.work.timeouts
        return Step(
            methods=self.methods,
            changes=self.changes,
            schema=self.schema,
            commands=commands,
            timeouts=[
                WaitingTimeout(name=name, due_at=deadline.due_at(now))
                for name, deadline in timeouts.items()
                if deadline is not None
            ],
            cancelled=[name for name, deadline in timeouts.items() if deadline is None],
            compensations=[planned(command) for command in self.work.compensations],
        )


class Performer:
    """One instance in memory, for as many messages as a batch has for it."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self._type = standing.saga.state_type()
        self._schema = standing.saga.__whizbang_steps__.schema
        self._saga = self._make(self._load())

    @property
    def attributes(self) -> dict[str, Any]:
        """The state, as methods see it."""
        return {
            name: value for name, value in vars(self._saga).items() if name in self._type.fields
        }

    def _load(self) -> dict[str, Any]:
        if not self.standing.schema:
            return self._type.defaults()
        self.standing.upcast_to(self._schema)
        return self._type.load(self.standing.state)

    def _make(self, attributes: dict[str, Any]) -> Saga:
        saga = self.standing.saga()
        saga.__dict__.update(attributes, key=self.standing.key)
        return saga

    def fill(self, names: Sequence[tuple[str, By]], event: Any) -> None:
        """Set the fields that `by` names, of an instance that starts now."""
        for _, by in names:
            if isinstance(by, str) and by in self._type.fields:
                setattr(self._saga, by, getattr(event, by))

    def perform(self, methods: Sequence[str], args: Sequence[Any], metadata: Metadata) -> Performed:
        """Call the methods in order, until one ends the saga. Raises what they raise."""
        work, called = Work(metadata), []
        self._saga._work = work
        try:
            for name in methods:
                method = getattr(self._saga, name)
                called.append(name)
                (async_to_sync(method) if inspect.iscoroutinefunction(method) else method)(*args)
                if work.is_over:
                    break
        finally:
            self._saga._work = None
        return Performed(called, work, self._changes(), self._schema)

    def _changes(self) -> dict[str, Any]:
        """The next message finds what was stored, in this batch as in a later one."""
        before = self.standing.state
        attributes = {name: v for name, v in vars(self._saga).items() if name != "key"}
        after = self._type.dump(attributes)
        self._saga = self._make(self._type.load(after))
        return {
            name: value
            for name, value in after.items()
            if name not in before or not _is_same(before[name], value)
        }


def _is_same(one: Any, other: Any) -> bool:
    """1, 1.0 and True are equal, and not the same."""
    return one == other and msgspec.json.encode(one) == msgspec.json.encode(other)


def planned(command: Command[Any]) -> PlannedCommand:
    """A command as it is kept. Raises InvalidMessage."""
    _, payload = validator(type(command)).validate(command)
    return planned_as(type(command), payload)


def planned_as(command_type: type[Message], payload: bytes) -> PlannedCommand:
    info = command_type.__whizbang__
    return PlannedCommand(
        type=info.type_name, schema=info.schema, data=msgspec.json.decode(payload)
    )


def command_of(plan: PlannedCommand) -> Command[Any]:
    """A command that was kept, as its class is today.

    Raises UnknownMessageType, or WhizbangError when its content does not fit the class any more.
    """
    found = type_named(plan.type, "a command that a saga has kept")
    data = found.__whizbang__.upcast(dict(plan.data), plan.schema)
    try:
        command: Command[Any] = msgspec.convert(data, found, str_keys=True, strict=False)
    except msgspec.ValidationError as exc:
        raise WhizbangError(
            f"{plan.type} was kept by a saga and does not fit its class any more: {exc}. Say with @upcasts "
            "how it becomes one of today."
        ) from exc
    return command


def keys_in(saga: type[Saga], by: By, event: Any, meta: Metadata) -> list[str]:
    """The keys of the instances that an event is for, as text. Raises WhizbangError for what is no key."""
    found = by(event, meta) if callable(by) else getattr(event, str(by))
    many = found if isinstance(found, list | tuple | set | frozenset) else [found]
    return list(dict.fromkeys(_checked(saga, key) for key in many))


def _checked(saga: type[Saga], key: Any) -> str:
    if key is None or key == "":
        raise WhizbangError(
            f"{saga.name()} got {key!r} as a key: let `by` give [] where no instance is meant."
        )
    text = text_of_key(key)
    if len(stream_of(saga, text)) > _MOST_STREAM or "\0" in text:
        raise WhizbangError(
            f"{saga.name()} cannot use the key {text[:40]!r}…: with the saga's name it may have {_MOST_STREAM} "
            "characters, none of them NUL."
        )
    return text
