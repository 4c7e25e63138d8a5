"""The events that a saga's stream is made of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from whizbang.messages.base import Event, Value
from whizbang.messages.personal import PAYLOAD, PERSONAL_VALUES


class PlannedCommand(Value):
    """A command as the saga named it: its type and its content."""

    type: str
    schema: int = 1
    data: Annotated[dict[str, Any], PAYLOAD]


class SentCommand(PlannedCommand):
    """A command that was stored for its owner."""

    message_id: UUID
    due_at: datetime | None = None


class WaitingTimeout(Value):
    """A timeout and when it is due, on the database's clock."""

    name: str
    due_at: datetime


class Step(Value):
    """What one message or timeout has made the saga do."""

    methods: list[str]  # that were called, in order
    changes: Annotated[dict[str, Any], PERSONAL_VALUES]  # fields of the state that are others now
    schema: int = 1  # of the state
    commands: list[SentCommand] = []
    timeouts: list[WaitingTimeout] = []
    cancelled: list[str] = []  # timeouts
    compensations: list[PlannedCommand] = []  # to be sent, last first, should it fail


NO_STEP = Step(methods=[], changes={})  # until the methods have been called


class SagaStarted(Event):
    """The first event of a saga's stream."""

    saga: str
    key: str


class SagaReacted(Event):
    """A message was heard."""

    message_id: UUID
    type: str
    stream: str
    position: int  # in the log of the service that the saga runs in
    step: Step


class SagaTimedOut(Event):
    """A timeout came due."""

    name: str
    due_at: datetime
    step: Step


class SagaTimeoutSkipped(Event):
    """An operator had a failing timeout left out."""

    name: str
    reason: str
    by: str = ""


class SagaTimeoutHastened(Event):
    """An operator had a timeout be due now; it is fired as if it had come due by itself."""

    name: str
    due_at: datetime
    reason: str
    by: str = ""


class SagaCompleted(Event):
    """It has reached its end; what it hears from now on is ignored."""


class SagaFailed(Event):
    """It gave up, and sent what undoes its steps, last first."""

    reason: str
    commands: list[SentCommand] = []


class SagaCancelled(Event):
    """An operator ended it; what undoes its steps was sent, last first, if that was asked for."""

    reason: str
    by: str = ""
    commands: list[SentCommand] = []
