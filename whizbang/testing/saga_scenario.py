"""Given events, when an event or a timeout, then commands: a saga's test without a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from whizbang.exceptions import WhizbangError
from whizbang.messages.base import Command, Event
from whizbang.messages.envelope import envelope
from whizbang.messages.metadata import Metadata
from whizbang.messages.validation import validator
from whizbang.sagas.messages import (
    NO_STEP,
    SagaCompleted,
    SagaFailed,
    SagaReacted,
    SagaStarted,
    SagaTimedOut,
)
from whizbang.sagas.performing import Performer, command_of, keys_in, planned
from whizbang.sagas.saga import Saga
from whizbang.sagas.standing import Standing
from whizbang.testing.scenario import check_raised, describe_error


class _Planned(NamedTuple):
    methods: list[str]
    args: list[Any]
    event: SagaReacted | SagaTimedOut
    meta: Metadata


class SagaScenario:
    """One instance's test: `SagaScenario(TripBooking, "17").given(...).when(...).then(...)`.

    `when` takes an event, or the name of a timeout. Several may follow each other, each with what is
    expected of it; what is sent counts from the last one.
    """

    def __init__(self, saga: type[Saga], key: str) -> None:
        self._standing = Standing(saga, str(key))
        self._performer: Performer | None = None
        self._error: Exception | None = None
        self._has_run = False
        self._reason: str | None = None
        self.sent: list[Command[Any]] = []

    def given(self, *happened: Event | str) -> SagaScenario:
        """Events and timeouts of the past, in order. Raises what the saga's methods raise."""
        for item in happened:
            self._let_happen(item)
        return self

    def when(
        self, happens: Event | str, *, occurred_at: datetime | None = None, user: Any = None
    ) -> SagaScenario:
        """Let it hear an event, or let a timeout come due. What its method raises waits for raises().

        Raises WhizbangError for an event that is for no method or another instance, and for a timeout
        that it does not wait for.
        """
        self._has_run, self._error, self.sent = True, None, []
        self._let_happen(happens, occurred_at=occurred_at, user=user, keeps_error=True)
        return self

    def then(
        self,
        *commands: Command[Any],
        state: Mapping[str, Any] | None = None,
        timeouts: Collection[str] | None = None,
        compensations: Sequence[Command[Any]] | None = None,
    ) -> SagaScenario:
        """Exactly these commands were sent, in this order. Raises AssertionError.

        Of the rest what is given holds now: these fields of the state; that it waits for these timeouts
        and no others; what would be sent if it failed, the last first.
        """
        self._check_run()
        if self._error is not None:
            raise AssertionError(
                f"Expected {list(commands)}, but it raised {describe_error(self._error)}."
            ) from self._error
        _compare("sent", list(commands), self.sent)
        if state is not None:
            found = {} if self._performer is None else self._performer.attributes
            _compare("state", dict(state), {name: found.get(name) for name in state})
        if timeouts is not None:
            _compare("timeouts", sorted(timeouts), sorted(self._standing.timeouts))
        if compensations is not None:
            _compare("compensations", list(compensations), self._compensations())
        return self

    def ends(self, status: str, reason: str | None = None) -> SagaScenario:
        """It is "completed", or "failed" with this reason. Raises AssertionError."""
        self._check_run()
        _compare("status", status, str(self._standing.status))
        if reason is not None:
            _compare("reason", reason, self._reason)
        return self

    def goes_on(self) -> SagaScenario:
        """It was started and has not ended. Raises AssertionError."""
        self._check_run()
        status = str(self._standing.status) if self._performer is not None else "not started"
        _compare("status", "open", status)
        return self

    def raises(self, error: type[Exception]) -> SagaScenario:
        """The method raised this error: a worker would set the instance aside. Raises AssertionError."""
        self._check_run()
        check_raised(error, self._error, f"but it sent {self.sent}")
        return self

    def _check_run(self) -> None:
        if not self._has_run:
            raise AssertionError("Call when(...) first.")

    def _let_happen(
        self,
        item: Event | str,
        *,
        occurred_at: datetime | None = None,
        user: Any = None,
        keeps_error: bool = False,
    ) -> None:
        planned_step = (
            self._plan_timeout(item, occurred_at)
            if isinstance(item, str)
            else self._plan_event(item, occurred_at, user)
        )
        if planned_step is None or not self._standing.is_open:
            return
        try:
            self._take(planned_step)
        except Exception as exc:
            # As if it had not happened: a worker rolls it back.
            self._performer = Performer(self._standing) if self._standing.schema else None
            if not keeps_error:
                raise
            self._error = exc

    def _plan_event(self, event: Event, occurred_at: datetime | None, user: Any) -> _Planned | None:
        """None when there is no instance yet, and the event starts none."""
        checked, _ = validator(type(event)).validate(event)
        meta = envelope(checked, occurred_at=occurred_at, user=user).metadata
        saga, key = self._standing.saga, self._standing.key
        reactions = saga.reactions.get(type(event), ())
        mine = [pair for pair in reactions if key in keys_in(saga, pair[1], checked, meta)]
        if not mine:
            raise WhizbangError(f"{saga.__name__} {key!r} does not hear {event!r}.")
        if self._performer is None:
            mine = [pair for pair in mine if saga.starts_with(pair[0])]
            if not mine:
                return None
            self._standing.apply(SagaStarted(saga=saga.name(), key=key), meta)
            self._performer = Performer(self._standing)
            self._performer.fill(mine, checked)
        reacted = SagaReacted(
            message_id=meta.message_id, type=meta.type, stream="", position=0, step=NO_STEP
        )
        return _Planned([name for name, _ in mine], [checked], reacted, meta)

    def _plan_timeout(self, name: str, occurred_at: datetime | None) -> _Planned:
        standing = self._standing
        if name not in standing.timeouts:
            waits = ", ".join(map(repr, standing.timeouts)) or "none"
            raise WhizbangError(
                f"{standing.saga.__name__} {standing.key!r} does not wait for {name!r}; its timeouts: {waits}."
            )
        assert standing.origin is not None  # it was started, else it would wait for nothing
        due_at = occurred_at or standing.timeouts[name]
        meta = standing.origin.to_metadata(type="", occurred_at=due_at)
        timed_out = SagaTimedOut(name=name, due_at=due_at, step=NO_STEP)
        return _Planned([standing.saga.timeouts[name]], [], timed_out, meta)

    def _take(self, planned_step: _Planned) -> None:
        """As a worker does it, but for the log and the queues."""
        methods, args, event, meta = planned_step
        assert self._performer is not None  # it was started
        performed = self._performer.perform(methods, args, meta)
        work = performed.work
        for sending in work.sent:
            planned(sending.command)  # refuses what could not be stored
        now = max(meta.occurred_at, datetime.now(UTC))
        step = performed.to_step([], now)
        self._standing.apply(msgspec.structs.replace(event, step=step), meta)
        self.sent = [sending.command for sending in work.sent]
        if work.is_complete:
            self._standing.apply(SagaCompleted(), meta)
        elif work.failure is not None:
            self._reason = work.failure
            self.sent += self._compensations()
            self._standing.apply(SagaFailed(reason=work.failure), meta)

    def _compensations(self) -> list[Command[Any]]:
        return [command_of(plan) for plan in reversed(self._standing.compensations)]


def _compare(what: str, expected: Any, found: Any) -> None:
    if expected != found:
        raise AssertionError(f"Expected {what} {expected}, found {found}.")
