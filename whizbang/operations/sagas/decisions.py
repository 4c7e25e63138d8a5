"""What an operator decides about one instance: try a failed step again, leave it out, have a timeout fire now, or
end the instance.

Each decision is one transaction that locks the instance as a worker's step does. The audit trail is kept by the
actions that call these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from whizbang.exceptions import WhizbangError
from whizbang.models import ParkedStream
from whizbang.operations.parked import retry_parked, skip_parked
from whizbang.operations.sagas.locked import SeenInstance, locked
from whizbang.sagas.performing import command_of, planned
from whizbang.sagas.standing import Standing

_DONE = {
    "retry": "tried again by a worker",
    "skip": "left out",
    "cancel": "given up",
    "fire": "fired by a worker",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was done, or would be: to which event or timeouts, and which commands were sent."""

    action: str
    saga: str
    key: str
    event: str = ""  # the type of the one that a step had failed at
    position: int | None = None  # of that event in the log
    timeouts: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()  # types, in the order in which they are sent

    def sentences(self, *, is_dry_run: bool = False) -> Iterator[str]:
        """In words."""
        would, done = "would be" if is_dry_run else "is", _DONE[self.action]
        if self.action == "cancel":
            yield f"{self.saga} {self.key} {would} cancelled."
        if self.event:
            yield f"The event {self.event} {would} {done}."
        for timeout in self.timeouts:
            yield f"The timeout {timeout} {would} {done}."
        for command in self.commands:
            yield f"{command} {would} sent."


def retry_step(
    name: str, key: str, *, timeout: str | None = None, is_dry_run: bool = False
) -> Decided:
    """Let a worker try again what has failed: the event and what waits behind it, and timeouts.

    With `timeout` that one alone. A dry run changes nothing. Raises WhizbangError where nothing has failed.
    """
    with locked(name, key, is_dry_run=is_dry_run) as instance:
        decided = plan_retry(instance, timeout)
        if decided.event:
            retry_parked(name, key=key)
        rows = instance.parked_timeouts().filter(name__in=decided.timeouts)
        rows.update(parked_at=None, error="", traceback="")
        instance.tell_error()
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
        decided = plan_skip(instance, timeout)
        if decided.event:
            skip_parked(name, key=key, reason=reason, skipped_by=operator)
        for item in decided.timeouts:
            instance.batch.skip_timeout(key, item, reason=reason, operator=operator)
        instance.batch.write()
        instance.tell_error()
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
        decided = plan_cancel(instance, is_compensated=is_compensated)
        instance.batch.cancel(key, reason=reason, operator=operator, is_compensated=is_compensated)
        instance.batch.write()
        instance.parked().delete()
    return decided


def fire_timeout_now(
    name: str,
    key: str,
    timeout: str,
    *,
    reason: str,
    operator: str = "",
    is_dry_run: bool = False,
) -> Decided:
    """Let a timeout that an instance waits for be due now: the next worker fires it, as if it had come due.

    The instance's stream tells who did so. A dry run changes nothing. Raises ValueError without a reason, and
    WhizbangError for a timeout that it does not wait for, that is due already, or that has failed.
    """
    _need(reason)
    with locked(name, key, is_dry_run=is_dry_run) as instance:
        decided = plan_fire(instance, timeout)
        instance.batch.hasten_timeout(key, timeout, reason=reason, operator=operator)
        instance.batch.write()
    return decided


def plan_retry(instance: SeenInstance, timeout: str | None) -> Decided:
    """What retry_step() would do. Raises what it raises."""
    return _decided("retry", instance, *instance.failed(timeout))


def plan_skip(instance: SeenInstance, timeout: str | None) -> Decided:
    """What skip_step() would do. Raises what it raises."""
    event, timeouts = instance.failed(timeout)
    _refuse_several(instance, event, timeouts)
    return _decided("skip", instance, event, timeouts)


def plan_cancel(instance: SeenInstance, *, is_compensated: bool) -> Decided:
    """What cancel_instance() would do. Raises what it raises."""
    standing = _open_standing(instance, "there is nothing to cancel")
    plans = reversed(standing.compensations) if is_compensated else ()
    commands = [planned(command_of(plan)).type for plan in plans]
    return _decided("cancel", instance, instance.event, sorted(standing.timeouts), commands)


def plan_fire(instance: SeenInstance, timeout: str) -> Decided:
    """What fire_timeout_now() would do. Raises what it raises."""
    if timeout in instance.timeouts:
        raise WhizbangError(f"The timeout {timeout!r} of {instance.stream!r} has failed: retry it.")
    if timeout not in _open_standing(instance, "it waits for nothing").timeouts:
        raise WhizbangError(f"{instance.stream!r} does not wait for the timeout {timeout!r}.")
    if instance.is_due(timeout):
        raise WhizbangError(
            f"The timeout {timeout!r} of {instance.stream!r} is due already: a worker fires it, once nothing that "
            "it has to hear before has failed."
        )
    return _decided("fire", instance, None, [timeout])


def _need(reason: str) -> None:
    if not reason.strip():
        raise ValueError("Give a reason: somebody will ask why the saga did not go its way.")


def _refuse_several(
    instance: SeenInstance, event: ParkedStream | None, timeouts: Sequence[str]
) -> None:
    """Which one is meant is not ours to guess."""
    if len(timeouts) + (event is not None) <= 1:
        return
    there = ", ".join(f"the timeout {name!r}" for name in timeouts)
    there += f" and {event.type} at position {event.position}" if event is not None else ""
    raise WhizbangError(
        f"Several things of {instance.stream!r} have failed: {there}. Skip the timeouts by their names first."
    )


def _open_standing(instance: SeenInstance, otherwise: str) -> Standing:
    standing = instance.standing
    if standing is None:
        hint = "" if instance.event is None else " The event that would start it fails: skip that."
        raise WhizbangError(
            f"{instance.saga.name()} has no instance with the key {instance.key!r}.{hint}"
        )
    if not standing.is_open:
        raise WhizbangError(
            f"{instance.stream!r} is {standing.status} since {standing.closed_at}: {otherwise}."
        )
    return standing


def _decided(
    action: str,
    instance: SeenInstance,
    event: ParkedStream | None,
    timeouts: Sequence[str],
    commands: Sequence[str] = (),
) -> Decided:
    return Decided(
        action=action,
        saga=instance.saga.name(),
        key=instance.key,
        event=event.type if event is not None else "",
        position=event.position if event is not None else None,
        timeouts=tuple(timeouts),
        commands=tuple(commands),
    )
