"""The base class of sagas."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from whizbang.exceptions import WhizbangError
from whizbang.messages.base import Command, Event, domain_of_module
from whizbang.messages.becoming import Steps
from whizbang.messages.metadata import Metadata
from whizbang.messages.signatures import check_takes
from whizbang.projections.declaration import LIVE, By, collect_reactions, on
from whizbang.sagas.state import StateType
from whizbang.sagas.work import Deadline, Sending, Work

F = TypeVar("F", bound=Callable[..., Any])

IGNORE, START, DEAD_LETTER = "ignore", "start", "dead-letter"

declared: list[type[Saga]] = []


def starts_on(*event_types: type[Event], by: By) -> Callable[[F], F]:
    """Mark a method that hears events and, where there is no instance of the key yet, starts one.

    `by` is as for @on.
    """

    def decorate(method: F) -> F:
        marked = on(*event_types, by=by)(method)
        marked.__whizbang_starts__ = True  # type: ignore[attr-defined]
        return marked

    return decorate


def on_timeout(name: str) -> Callable[[F], F]:
    """Mark the method that is called, without arguments, when the timeout of this name is due."""
    if not isinstance(name, str) or not 0 < len(name) <= _MOST_NAME:
        raise TypeError(f"@on_timeout takes a name of up to {_MOST_NAME} characters, not {name!r}.")

    def decorate(method: F) -> F:
        check_takes(method, "self", decorator="on_timeout")
        method.__whizbang_timeout__ = name  # type: ignore[attr-defined]
        return method

    return decorate


_MOST_NAME = 100


class Saga:
    """A process that outlives its messages: annotated class attributes are its state.

    Methods marked with @starts_on, @on and @on_timeout change the state and ask for what follows; all of it
    commits together, once. `category` names the saga and its streams ("orders.OrderFulfillment") and survives
    renames of the class. `unmatched` says what becomes of an event marked with @on that finds no instance:
    "ignore" it, "start" one, or make it a "dead-letter". `backfill_from` is LIVE unless it says else. A class
    that says `abstract = True` itself is a base for others.

    When the state's shape changes, give new fields a default, or say with
    `@upcasts(TheSaga, from_version=1)` how the plain data of an older version becomes that of the next.
    """

    category: ClassVar[str] = ""
    unmatched: ClassVar[str] = IGNORE
    backfill_from: ClassVar[Any] = LIVE
    abstract: ClassVar[bool] = True
    reactions: ClassVar[dict[type[Event], list[tuple[str, By]]]] = {}
    starters: ClassVar[frozenset[str]] = frozenset()  # names of methods that may start an instance
    timeouts: ClassVar[dict[str, str]] = {}  # the method of each timeout

    key: str  # of the instance, as text
    _work: Work | None

    __whizbang_steps__: ClassVar[Steps]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.reactions = collect_reactions(cls)
        cls.starters = frozenset(
            name
            for pairs in cls.reactions.values()
            for name, _ in pairs
            if hasattr(_marked(cls, name, "__whizbang_starts__"), "__whizbang_starts__")
        )
        cls.timeouts = _collect_timeouts(cls)
        cls.__whizbang_steps__ = Steps()
        if not cls.__dict__.get("abstract", False):
            cls.abstract = False
            declared.append(cls)

    @classmethod
    def domain(cls) -> str:
        """A service runs the sagas of the domains that it owns."""
        return domain_of_module(cls.__module__)

    @classmethod
    def name(cls) -> str:
        """Of the saga, of its subscription, and before the key of its streams."""
        given = cls.__dict__.get("category") or cls.__name__
        return given if "." in given else f"{cls.domain()}.{given}"

    @classmethod
    def state_type(cls) -> StateType:
        """Made when first needed: annotations may name what is defined further down."""
        found: StateType | None = cls.__dict__.get("_state_type")
        if found is None:
            found = cls._state_type = StateType(cls, base=Saga)  # type: ignore[attr-defined]
        return found

    @classmethod
    def starts_with(cls, method: str) -> bool:
        """May this method start an instance?"""
        return cls.unmatched == START or method in cls.starters

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, 'key', '?')!r}>"

    @property
    def metadata(self) -> Metadata:
        """Of the message that is handled; in a timeout's method, of the timeout."""
        return self._current_work.metadata

    @property
    def user(self) -> str | None:
        """Who sent the message, as opaque text; in a timeout's method, who started the saga."""
        return self._current_work.metadata.user

    @property
    def now(self) -> datetime:
        """The message's occurred_at, or when the timeout was due: the same in a replay."""
        return self._current_work.metadata.occurred_at

    def send(
        self,
        command: Command[Any],
        *,
        delay: timedelta | None = None,
        at: datetime | None = None,
        ordering_key: str | None = None,
    ) -> None:
        """Send a command when this step commits, caused by this message; always through a queue.

        `delay` counts from the database's clock; `at` is an aware datetime. Raises TypeError for what is
        no command.
        """
        work = self._open_work
        work.sent.append(Sending(_checked(command, "send"), delay, at, ordering_key))

    def timeout(
        self, name: str, *, after: timedelta | None = None, at: datetime | None = None
    ) -> None:
        """Have the method marked with @on_timeout(name) called later, unless it is cancelled before.

        `after` counts from the database's clock, `at` is an aware datetime. Setting it again replaces it.
        Raises WhizbangError for a name that no method is marked with.
        """
        work = self._open_work
        self._check_timeout(name)
        if (after is None) == (at is None):
            raise TypeError(f"timeout({name!r}) needs after= or at=, one of them.")
        if after is not None and not isinstance(after, timedelta):
            raise TypeError(f"after must be a timedelta, not {after!r}.")
        if at is not None and (not isinstance(at, datetime) or at.tzinfo is None):
            raise TypeError(f"at must be a datetime with a time zone, not {at!r}.")
        work.timeouts.pop(name, None)
        work.timeouts[name] = Deadline(after, at)

    def cancel_timeout(self, name: str) -> None:
        """Do not wait for it any more; nothing happens where it is not set.

        Raises WhizbangError for a name that no method is marked with.
        """
        work = self._open_work
        self._check_timeout(name)
        work.timeouts.pop(name, None)
        work.timeouts[name] = None

    def compensate_with(self, *commands: Command[Any]) -> None:
        """Commands that undo this step. Should the saga fail, all are sent once, the last first."""
        work = self._open_work
        work.compensations.extend(_checked(command, "compensate_with") for command in commands)

    def complete(self) -> None:
        """End it: its timeouts are cancelled, and what it hears from now on is ignored."""
        self._open_work.is_complete = True

    def fail(self, reason: str) -> None:
        """End it and undo its steps: what compensate_with() was given is sent, the last first."""
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError("fail() needs a reason: somebody will ask.")
        self._open_work.failure = reason

    @property
    def _current_work(self) -> Work:
        work: Work | None = self.__dict__.get("_work")
        if work is None:
            raise WhizbangError(
                f"{type(self).__name__} handles no message now: its methods are called by a worker, or in a "
                "test by SagaScenario."
            )
        return work

    @property
    def _open_work(self) -> Work:
        work = self._current_work
        work.check_open()
        return work

    def _check_timeout(self, name: str) -> None:
        if name not in self.timeouts:
            known = ", ".join(map(repr, self.timeouts)) or "none"
            raise WhizbangError(
                f"{type(self).__name__} has no method marked @on_timeout({name!r}); its timeouts: {known}."
            )


def _checked(command: Any, verb: str) -> Command[Any]:
    if not isinstance(command, Command):
        raise TypeError(f"{verb}() takes a Command, not {type(command).__name__}.")
    return command


def _marked(cls: type, name: str, mark: str) -> Any:
    """The method of this name with the mark; an override without marks keeps those of what it overrides."""
    for base in cls.__mro__:
        value = base.__dict__.get(name)
        if hasattr(value, mark) or hasattr(value, "__whizbang_on__"):
            return value
    return None


def _collect_timeouts(cls: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for name, value in base.__dict__.items():
            if hasattr(value, "__whizbang_timeout__"):
                found[value.__whizbang_timeout__] = name
    return found
