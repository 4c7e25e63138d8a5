"""What tests look at: where an instance stands, what it waits for, what it has sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

import whizbang
from tests.trips.messages import TripNoted, TripRequested
from whizbang import Event, event_store
from whizbang.models import InboxMessage, SagaInstance, SagaTimeout
from whizbang.operations.worker import Worker
from whizbang.sagas.messages import (
    SagaCancelled,
    SagaFailed,
    SagaReacted,
    SagaTimedOut,
    SentCommand,
)
from whizbang.sagas.saga import Saga


def record(event: Event, stream: str = "trips.Told-1") -> None:
    event_store().append(stream, [event], expected=whizbang.ANY)


def request(key: str = "1", price: int = 0) -> None:
    record(TripRequested(trip_id=key, seat="1a", price=price))


def note(text: str, key: str = "1") -> None:
    record(TripNoted(trip_id=key, text=text), f"trips.Note-{key}")


def hear() -> None:
    """Let the sagas hear what was recorded; no command is handled, and no timeout fires."""
    Worker(name="hear", only={"events"}).run(until_idle=True)


def row_of(saga: type[Saga], key: str = "1") -> SagaInstance:
    return SagaInstance.objects.get(stream=f"{saga.name()}-{key}")


def state_of(saga: type[Saga], key: str = "1") -> dict[str, Any]:
    return decoded(row_of(saga, key).state)  # type: ignore[no-any-return]


def decoded(column: Any) -> Any:
    return msgspec.json.decode(bytes(column))


def events_of(saga: type[Saga], key: str = "1") -> list[Event]:
    return [recorded.event for recorded in event_store().read_stream(f"{saga.name()}-{key}")]


def timeouts_of(saga: type[Saga], key: str = "1") -> dict[str, datetime]:
    rows = SagaTimeout.objects.filter(stream=f"{saga.name()}-{key}")
    return dict(rows.values_list("name", "due_at"))


def sent(saga: type[Saga], key: str = "1") -> list[SentCommand]:
    """The commands that an instance's stream tells of, each of which is in the inbox."""
    commands: list[SentCommand] = []
    for event in events_of(saga, key):
        if isinstance(event, SagaReacted | SagaTimedOut):
            commands += event.step.commands
        elif isinstance(event, SagaFailed | SagaCancelled):
            commands += event.commands
    ids = [command.message_id for command in commands]
    assert InboxMessage.objects.filter(message_id__in=ids).count() == len(ids)
    return commands
