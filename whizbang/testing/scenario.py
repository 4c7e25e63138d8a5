"""Given events, when a command or a call, then events: an aggregate's test without a database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from asgiref.sync import async_to_sync

from whizbang.domain.aggregate import Aggregate
from whizbang.domain.context import Context, current_context
from whizbang.exceptions import HandlerNotFound, WhizbangError
from whizbang.messages.base import Command, Event
from whizbang.messages.envelope import envelope
from whizbang.messages.validation import validator
from whizbang.routing.registry import registry


class Scenario:
    """One aggregate's test: `Scenario(Order, "17").given(...).when(...).then(...)`.

    `when` takes a command, which its handler handles, or a function of the aggregate.
    """

    def __init__(self, aggregate: type[Aggregate], id: str) -> None:
        self._aggregate = aggregate(id)
        self._error: Exception | None = None
        self._has_run = False
        self.result: Any = None
        self.sent: list[Any] = []

    def given(self, *events: Event) -> Scenario:
        """Events of the past, applied in order."""
        for event in events:
            self._aggregate._check_known(event)
            self._aggregate._apply(validator(type(event)).validate(event)[0])
            self._aggregate.version += 1
        return self

    def when(
        self,
        action: Command[Any] | Callable[[Any], Any],
        *,
        occurred_at: datetime | None = None,
        user: Any = None,
    ) -> Scenario:
        """Handle a command, or call a function with the aggregate. Errors wait for raises()."""
        self._has_run = True
        try:
            if isinstance(action, Command):
                self.result = self._handle(action, occurred_at, user)
            else:
                self.result = action(self._aggregate)
        except Exception as exc:
            self._error = exc
        return self

    def then(self, *expected: Event) -> Scenario:
        """Exactly these events were recorded, in this order. Raises AssertionError."""
        self._check_run()
        if self._error is not None:
            raise AssertionError(
                f"Expected {list(expected)}, but it raised {describe_error(self._error)}."
            ) from self._error
        recorded = list(self._aggregate._pending)
        if recorded != list(expected):
            raise AssertionError(f"Expected {list(expected)}, recorded {recorded}.")
        return self

    def raises(self, error: type[Exception]) -> Scenario:
        """The action raised this error, and nothing was recorded. Raises AssertionError."""
        self._check_run()
        check_raised(error, self._error, f"recorded {self._aggregate._pending}")
        return self

    def _check_run(self) -> None:
        if not self._has_run:
            raise AssertionError("Call when(...) first.")

    def _handle(self, command: Command[Any], occurred_at: datetime | None, user: Any) -> Any:
        handler = registry.handler_of(type(command))
        if handler is None:
            raise HandlerNotFound(type(command).__whizbang__.type_name)
        checked, _ = validator(type(command)).validate(command)
        wrapped = envelope(checked, occurred_at=occurred_at, user=user)
        wrapped.unit = _ScenarioUnit(self)
        context = Context(wrapped, handler.function.__module__)
        function = async_to_sync(handler.function) if handler.is_async else handler.function
        token = current_context.set(context)
        try:
            return function(checked, context)
        finally:
            current_context.reset(token)


def check_raised(expected: type[Exception], found: Exception | None, otherwise: str) -> None:
    """Raises AssertionError unless this error was raised; `otherwise` says what happened without one."""
    if found is None:
        raise AssertionError(f"Expected {expected.__name__}, {otherwise}.")
    if not isinstance(found, expected):
        raise AssertionError(
            f"Expected {expected.__name__}, got {describe_error(found)}."
        ) from found


def describe_error(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


class _ScenarioUnit:
    """Stands in for the unit of work."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario

    def load(self, aggregate: type[Aggregate], id: str) -> Aggregate:
        known = self._scenario._aggregate
        if type(known) is not aggregate or known.id != id:
            raise WhizbangError(
                f"This scenario is about {known!r}; the handler loaded {aggregate.__name__} {id!r}. "
                "Test handlers of several aggregates with a database."
            )
        return known

    def record(self, stream: str, event: Event) -> None:
        self._scenario._aggregate._pending.append(event)

    def send(self, command: Command[Any], **keywords: Any) -> None:
        self._scenario.sent.append(command)
