"""A recorded step beside what today's code does, in one plain form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, TypeVar

from whizbang.drivers.errors import is_passing
from whizbang.messages.text import error_text, traceback_text
from whizbang.sagas.messages import PlannedCommand, SagaFailed, SentCommand, Step
from whizbang.sagas.performing import Performed, command_of, planned
from whizbang.sagas.work import Sending

T = TypeVar("T")
COMPLETED = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What differs in a step: a field of `Outcome`, or the "state", of which the fields that differ are told.

    Or "message", where it cannot be read any more, or "error", where today's code raises: `today` says why.
    """

    what: str
    recorded: Any
    today: Any
    traceback: str = ""


class Differs(Exception):
    """Today's code cannot take a step at all, and that is the difference."""

    def __init__(self, difference: Difference) -> None:
        self.difference = difference
        super().__init__(difference.what)


def guarded(what: str, using: str, function: Callable[..., T], *args: Any) -> T:
    """Call what runs code of today; what it raises is a difference, unless the database is at fault."""
    try:
        return function(*args)
    except Differs:
        raise
    except Exception as exc:
        if is_passing(exc, using=using):
            raise
        told = Difference(
            what=what, recorded=None, today=error_text(exc), traceback=traceback_text(exc)
        )
        raise Differs(told) from exc


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step has done, besides the state. Commands have the form that their classes have today."""

    methods: list[str]
    commands: list[dict[str, Any]]
    timeouts: dict[str, datetime | None]  # when it is due, where the code names an instant
    cancelled: list[str]  # timeouts
    compensations: list[dict[str, Any]]
    ending: str
    undone: list[dict[str, Any]]  # commands that undid the steps, of one that failed


def recorded_outcome(step: Step, ending: Any) -> Outcome:
    """Raises WhizbangError for a command that does not fit its class any more."""
    is_failed = isinstance(ending, SagaFailed)
    return Outcome(
        step.methods,
        [_sent(command) for command in step.commands],
        {waiting.name: waiting.due_at for waiting in step.timeouts},
        sorted(step.cancelled),
        [_plain(plan) for plan in step.compensations],
        _ending(ending is not None and not is_failed, ending.reason if is_failed else None),
        [_plain(command) for command in ending.commands] if is_failed else [],
    )


def outcome_today(performed: Performed, before: Iterable[PlannedCommand]) -> Outcome:
    """`before`: what would undo the steps before this one.

    Raises InvalidMessage for a command that could not be sent, WhizbangError as recorded_outcome() does.
    """
    work = performed.work
    plans = [planned(command) for command in work.compensations]
    undone = [*before, *plans] if work.failure is not None else []
    return Outcome(
        performed.methods,
        [_to_send(sending) for sending in work.sent],
        {name: deadline.at for name, deadline in work.timeouts.items() if deadline is not None},
        sorted(name for name, deadline in work.timeouts.items() if deadline is None),
        [_plain(plan) for plan in plans],
        _ending(work.is_complete, work.failure),
        [_plain(plan) for plan in reversed(undone)],
    )


def differences(recorded: Outcome, today: Outcome) -> Iterator[Difference]:
    """Part by part. A timeout that is set `after` a while counts from a clock: its name alone is compared."""
    at = {n: due_at if today.timeouts.get(n) else None for n, due_at in recorded.timeouts.items()}
    recorded = replace(recorded, timeouts=at)
    for part in fields(Outcome):
        one, other = getattr(recorded, part.name), getattr(today, part.name)
        if one != other:
            yield Difference(what=part.name, recorded=one, today=other)


def state_differences(recorded: dict[str, Any], today: dict[str, Any]) -> Iterator[Difference]:
    names = [name for name in recorded | today if _differs(name, recorded, today)]
    if names:
        one, other = ({n: s[n] for n in names if n in s} for s in (recorded, today))
        yield Difference(what="state", recorded=one, today=other)


def _differs(name: str, one: dict[str, Any], other: dict[str, Any]) -> bool:
    return (name in one, one.get(name)) != (name in other, other.get(name))


def _plain(plan: PlannedCommand) -> dict[str, Any]:
    read = planned(command_of(plan))
    return {"type": read.type, "data": read.data}


def _sent(command: SentCommand) -> dict[str, Any]:
    return {**_plain(command), "is_delayed": command.due_at is not None}


def _to_send(sending: Sending) -> dict[str, Any]:
    is_delayed = sending.at is not None or bool(sending.delay)
    plan = planned(sending.command)
    return {"type": plan.type, "data": plan.data, "is_delayed": is_delayed}


def _ending(is_complete: bool, failure: str | None) -> str:
    if failure is not None:
        return f"failed: {failure}"
    return COMPLETED if is_complete else ""
