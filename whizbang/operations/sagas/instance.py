"""One instance of a saga: where it stands, or stood, and what keeps it there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from whizbang.drivers.clock import database_now
from whizbang.exceptions import WhizbangError
from whizbang.models import ParkedStream, SagaInstance, SagaTimeout, SkippedEvent
from whizbang.operations.sagas.facts import facts_of
from whizbang.operations.sagas.finding import saga_named
from whizbang.sagas.saga import Saga
from whizbang.sagas.standing import Standing
from whizbang.sagas.steps import standing_from_stream
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.partitioning import name_of_key

NOT_STARTED = "not started"
_MOST_SKIPPED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A timeout that it waits for; `parked_at`: since when it stands aside, because its method failed."""

    name: str
    due_at: datetime
    is_overdue: bool
    parked_at: datetime | None = None
    attempts: int = 0
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingEvent:
    """The event that a step failed at; it and what follows wait for an operator."""

    type: str
    stream: str
    version: int
    position: int
    error: str
    traceback: str
    attempts: int
    is_retry_requested: bool
    parked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """An event that an operator had it skip."""

    type: str
    stream: str
    version: int
    position: int
    error: str
    reason: str
    skipped_by: str
    skipped_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A command that would undo a step."""

    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """An instance at a version of its stream.

    `status` is "not started" where the event that would start it fails: it has no state and no stream then.
    What would undo its steps is told last first, as it would be sent. `left_out` has the newest 100.
    """

    saga: str
    key: str
    stream: str
    version: int
    status: str
    last_step: str
    state: dict[str, Any]
    schema: int  # of the state
    started_at: datetime | None
    stepped_at: datetime | None
    closed_at: datetime | None
    waiting: tuple[Waiting, ...]
    compensations: tuple[Plan, ...]
    failing: FailingEvent | None
    left_out: tuple[LeftOut, ...]


def look_at(name: str, key: str, *, version: int | None = None) -> InstanceFacts:
    """An instance as it stands, or as it stood at a version; what has failed is told as it is now.

    Raises WhizbangError where there is no such saga, instance or version.
    """
    store, saga = event_store(), saga_named(name)
    standing = _standing(store, saga, key, version)
    failing = _failing(saga, key, store.using)
    if standing is None and (failing is None or version is not None):
        raise WhizbangError(f"{name} has no instance with the key {key!r}.")
    standing = standing or Standing(saga, key, status=NOT_STARTED)
    return facts_of(
        InstanceFacts,
        standing,
        saga=name,
        status=str(standing.status),
        waiting=_waiting(standing, store.using),
        compensations=tuple(
            Plan(type=plan.type, data=plan.data) for plan in reversed(standing.compensations)
        ),
        failing=failing,
        left_out=_left_out(saga, key, store.using),
    )


def parked_rows(saga: type[Saga], key: str, *, using: str) -> QuerySet[ParkedStream]:
    """What is set aside for one instance; one row at most."""
    return ParkedStream.objects.using(using).filter(
        subscription=saga.name(), unit=ParkedStream.Unit.KEY, key=name_of_key(key)
    )


def _standing(
    store: EventStore, saga: type[Saga], key: str, version: int | None
) -> Standing | None:
    if version is None:
        return current_standing(store, saga, key)
    found = standing_from_stream(store, saga, key, until=version)
    if version < 1 or version != found.version:
        found = standing_from_stream(store, saga, key)
        if found.version:
            raise WhizbangError(
                f"{found.stream!r} has no version {version}: it counts from 1 and is at {found.version}."
            )
    return found if found.version else None


def current_standing(store: EventStore, saga: type[Saga], key: str) -> Standing | None:
    """By its row, or by its stream where the row was cleaned up; None where there is neither."""
    stream = Standing(saga, key).stream
    row = SagaInstance.objects.using(store.using).filter(stream=stream).first()
    if row is not None:
        return Standing.from_row(saga, row)
    found = standing_from_stream(store, saga, key)
    return found if found.version else None


def _waiting(standing: Standing, using: str) -> tuple[Waiting, ...]:
    rows = SagaTimeout.objects.using(using).filter(stream=standing.stream)
    parked = {(row.name, row.due_at): row for row in rows.filter(parked_at__isnull=False)}
    now = database_now(using)
    return tuple(
        _waiting_for(name, due_at, parked.get((name, due_at)), now)
        for name, due_at in sorted(standing.timeouts.items(), key=lambda item: item[1])
    )


def _waiting_for(name: str, due_at: datetime, row: SagaTimeout | None, now: datetime) -> Waiting:
    is_overdue = due_at <= now
    if row is None:
        return Waiting(name=name, due_at=due_at, is_overdue=is_overdue)
    return facts_of(Waiting, row, is_overdue=is_overdue)


def _failing(saga: type[Saga], key: str, using: str) -> FailingEvent | None:
    row = parked_rows(saga, key, using=using).first()
    return None if row is None else facts_of(FailingEvent, row)


def _left_out(saga: type[Saga], key: str, using: str) -> tuple[LeftOut, ...]:
    rows = SkippedEvent.objects.using(using)
    rows = rows.filter(subscription=saga.name(), key=name_of_key(key)).order_by("-position")
    return tuple(facts_of(LeftOut, row) for row in rows[:_MOST_SKIPPED])
