"""What an operator decides about one instance: try a failed step again, leave it out, or end the instance.

Each decision is one transaction that locks the instance as a worker's step does, and leaves a row in the
audit trail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whizbang.exceptions import WhizbangError
from whizbang.models import ParkedStream
from whizbang.operations.audit import record_action
from whizbang.operations.parked import retry_parked, skip_parked
from whizbang.operations.sagas.locked import LockedInstance, locked
from whizbang.sagas.standing import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was done, or would be: to which event or timeouts, and which commands were sent."""

    action: str
    saga: str
    key: str
    event: str = ""  # the type of the one that a step had failed at
    timeouts: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()  # types, in the order in which they are sent


def retry_step(
    name: str,
    key: str,
    *,
    timeout: str | None = None,
    operator: str = "",
    reason: str = "",
    is_dry_run: bool = False,
) -> Decided:
    """Let a worker try again what has failed: the event and what waits behind it, and timeouts.

    With `timeout` that one alone. A dry run changes nothing. Raises WhizbangError where nothing has failed.
    """
    with locked(name, key, is_dry_run=is_dry_run) as instance:
        event, timeouts = instance.failed(timeout)
        if event is not None:
            retry_parked(name, key=key)
        rows = instance.parked_timeouts().filter(name__in=timeouts)
        rows.update(parked_at=None, error="", traceback="")
        instance.tell_error()
        decided = _decided("retry", instance, event, timeouts)
        _record(instance, decided, operator, reason)
    return decided


def skip_step(
    name: str,
    key: str,
    *,
    reason: str,
    timeout: str | None = None,
    operator: str = "",
    is_dry_run: bool = False,
) -> Decided:
    """Leave out for good what has failed: the event, so that what waits behind it goes on, or a timeout.

    Without `timeout` the one thing that has failed. A dry run changes nothing. Raises ValueError without a
    reason, and WhizbangError where nothing has failed, or several things have.
    """
    _need(reason)
    with locked(name, key, is_dry_run=is_dry_run) as instance:
        event, timeouts = instance.failed(timeout)
        _refuse_several(instance, event, timeouts)
        if event is not None:
            skip_parked(name, key=key, reason=reason, skipped_by=operator)
        for item in timeouts:
            instance.batch.skip_timeout(key, item, reason=reason, operator=operator)
        instance.batch.write()
        instance.tell_error()
        decided = _decided("skip", instance, event, timeouts)
        _record(instance, decided, operator, reason)
    return decided


def cancel_instance(
    name: str,
    key: str,
    *,
    reason: str,
    operator: str = "",
    is_compensated: bool = True,
    is_dry_run: bool = False,
) -> Decided:
    """End an instance: what undoes its steps is sent, the last first, unless `is_compensated` is False.

    Its timeouts go, events that were set aside for it are free, and what it would hear from now on is ignored.
    Commands that it has sent before stay sent. A dry run changes nothing. Raises ValueError without a reason,
    and WhizbangError where there is none that is open, or where a command does not fit its class any more.
    """
    _need(reason)
    with locked(name, key, is_dry_run=is_dry_run) as instance:
        standing = _open_standing(instance)
        timeouts = sorted(standing.timeouts)
        commands = instance.batch.cancel(
            key, reason=reason, operator=operator, is_compensated=is_compensated
        )
        instance.batch.write()
        instance.parked().delete()
        decided = _decided("cancel", instance, instance.event, timeouts, commands)
        _record(instance, decided, operator, reason)
    return decided


def _need(reason: str) -> None:
    if not reason.strip():
        raise ValueError("Give a reason: somebody will ask why the saga did not go its way.")


def _refuse_several(
    instance: LockedInstance, event: ParkedStream | None, timeouts: Sequence[str]
) -> None:
    """Which one is meant is not ours to guess."""
    if len(timeouts) + (event is not None) <= 1:
        return
    there = ", ".join(f"the timeout {name!r}" for name in timeouts)
    there += f" and {event.type} at position {event.position}" if event is not None else ""
    raise WhizbangError(
        f"Several things of {instance.stream!r} have failed: {there}. Skip the timeouts by their names first."
    )


def _open_standing(instance: LockedInstance) -> Standing:
    standing = instance.standing
    if standing is None:
        hint = "" if instance.event is None else " The event that would start it fails: skip that."
        raise WhizbangError(
            f"{instance.saga.name()} has no instance with the key {instance.key!r}.{hint}"
        )
    if not standing.is_open:
        raise WhizbangError(
            f"{instance.stream!r} is {standing.status} since {standing.closed_at}: there is nothing to cancel."
        )
    return standing


def _decided(
    action: str,
    instance: LockedInstance,
    event: ParkedStream | None,
    timeouts: Sequence[str],
    commands: Sequence[str] = (),
) -> Decided:
    return Decided(
        action=action,
        saga=instance.saga.name(),
        key=instance.key,
        event=event.type if event is not None else "",
        timeouts=tuple(timeouts),
        commands=tuple(commands),
    )


def _record(instance: LockedInstance, decided: Decided, operator: str, reason: str) -> None:
    event = instance.event if decided.event else None
    record_action(
        f"{decided.action} saga",
        instance.stream,
        using=instance.using,
        operator=operator,
        reason=reason,
        parameters={
            "event": decided.event,
            "position": event.position if event is not None else None,
            "timeouts": [*decided.timeouts],
            "commands": [*decided.commands],
        },
    )
