"""Where an instance of a saga stands: what its events add up to, and its row."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from whizbang.messages.base import Event
from whizbang.messages.metadata import Metadata, WireMetadata
from whizbang.models import SagaInstance
from whizbang.sagas.messages import (
    PlannedCommand,
    SagaCancelled,
    SagaCompleted,
    SagaFailed,
    SagaReacted,
    SagaStarted,
    SagaTimedOut,
    SagaTimeoutHastened,
    SagaTimeoutSkipped,
    Step,
)
from whizbang.sagas.saga import Saga
from whizbang.sagas.state import upcast

Status = SagaInstance.Status
_CLOSING: dict[type[Event], Status] = {
    SagaCompleted: Status.COMPLETED,
    SagaFailed: Status.FAILED,
    SagaCancelled: Status.CANCELLED,
}


class _Plans(msgspec.Struct):
    compensations: list[PlannedCommand] = []
    timeouts: dict[str, datetime] = {}


_decode_plans = msgspec.json.Decoder(_Plans).decode
_decode_origin = msgspec.json.Decoder(WireMetadata).decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Standing:
    """An instance, without its class: `state` is plain data of version `schema`."""

    saga: type[Saga]
    key: str
    version: int = 0  # of the stream
    status: str = Status.OPEN
    state: dict[str, Any] = field(default_factory=dict)
    schema: int = 0  # 0: nothing was stored yet
    compensations: list[PlannedCommand] = field(default_factory=list)
    timeouts: dict[str, datetime] = field(default_factory=dict)
    origin: WireMetadata | None = None
    last_step: str = ""
    error: str = ""
    started_at: datetime | None = None
    stepped_at: datetime | None = None
    closed_at: datetime | None = None

    @property
    def stream(self) -> str:
        return stream_of(self.saga, self.key)

    @property
    def is_open(self) -> bool:
        return self.status == Status.OPEN

    def apply(self, event: Event, meta: Metadata) -> None:
        """Fold one event of its stream. Raises what an upcaster raises."""
        if isinstance(event, SagaStarted):
            self.origin = WireMetadata.of(meta)
        elif isinstance(event, SagaReacted | SagaTimedOut):
            self._apply_step(event)
        elif isinstance(event, SagaTimeoutSkipped):
            self.timeouts.pop(event.name, None)
        elif isinstance(event, SagaTimeoutHastened):
            self.timeouts[event.name] = event.due_at
        elif type(event) in _CLOSING:
            self.status = _CLOSING[type(event)]
            self.timeouts.clear()
            self.compensations.clear()

    def _apply_step(self, event: SagaReacted | SagaTimedOut) -> None:
        step: Step = event.step
        self.upcast_to(step.schema)
        self.state = {**self.state, **step.changes}
        if isinstance(event, SagaTimedOut):
            self.timeouts.pop(event.name, None)
        for name in step.cancelled:
            self.timeouts.pop(name, None)
        self.timeouts |= {waiting.name: waiting.due_at for waiting in step.timeouts}
        self.compensations = [*self.compensations, *step.compensations]
        self.last_step = ", ".join(step.methods)[:200]
        self.error = ""

    def upcast_to(self, schema: int) -> None:
        """Bring the state to a later version of the class."""
        if self.schema and self.schema < schema:
            steps = self.saga.__whizbang_steps__
            self.state = upcast(steps, self.state, self.schema, schema)
        self.schema = max(self.schema, schema)

    def stand_at(self, version: int, recorded_at: datetime) -> None:
        """Its stream has got this far."""
        self.version, self.stepped_at = version, recorded_at
        self.started_at = self.started_at or recorded_at
        if not self.is_open:
            self.closed_at = recorded_at  # of its last event, which has closed it

    def to_row(self) -> SagaInstance:
        started_at, stepped_at = self.started_at, self.stepped_at
        assert started_at is not None and stepped_at is not None  # its events were appended
        return SagaInstance(
            stream=self.stream,
            saga=self.saga.name(),
            key=self.key,
            status=self.status,
            version=self.version,
            state=_encode(self.state),
            schema=self.schema,
            plans=_encode(_Plans(self.compensations, self.timeouts)),
            origin=_encode(self.origin),
            last_step=self.last_step,
            next_timeout_at=min(self.timeouts.values(), default=None),
            error=self.error,
            started_at=started_at,
            stepped_at=stepped_at,
            closed_at=self.closed_at,
        )

    @classmethod
    def from_row(cls, saga: type[Saga], row: SagaInstance) -> Standing:
        plans = _decode_plans(bytes(row.plans))
        return cls(
            saga,
            row.key,
            row.version,
            row.status,
            msgspec.json.decode(bytes(row.state)),
            row.schema,
            plans.compensations,
            plans.timeouts,
            _decode_origin(bytes(row.origin)),
            row.last_step,
            row.error,
            row.started_at,
            row.stepped_at,
            row.closed_at,
        )


def stream_of(saga: type[Saga], key: str) -> str:
    return f"{saga.name()}-{key}"
