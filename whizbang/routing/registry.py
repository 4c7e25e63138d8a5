"""Who handles and hears what: filled by decorators while the apps' modules are imported."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, overload

from django.utils.module_loading import autodiscover_modules

from whizbang.domain.context import Context
from whizbang.messages.base import Command, Event, Message, Query, domain_of_module
from whizbang.messages.signatures import check_takes
from whizbang.routing.rate import Rate, parse_rate
from whizbang.routing.retry import RetryOn, check_retry_on

MODULES = ("messages", "aggregates", "handlers", "projections", "sagas")
LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100
C = TypeVar("C", bound=Message)
C_co = TypeVar("C_co", bound=Message, covariant=True)
E = TypeVar("E", bound=Event)
R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Handler:
    """The function that handles a command or answers a query."""

    function: Callable[..., Any]
    message_type: type[Message]
    retries: int = 3  # on ConcurrencyError, with fresh state
    atomic: bool = True
    is_async: bool = False
    priority: int = 0  # of its messages in the queue: higher first
    retry_on: RetryOn = field(default_factory=dict)
    rate: Rate | None = None  # at which workers take its messages

    @property
    def name(self) -> str:
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @property
    def place(self) -> tuple[str, int]:
        """Where the function is defined: two of one name in a module are two handlers."""
        code = getattr(self.function, "__code__", None)
        return self.name, code.co_firstlineno if code is not None else 0


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A function that hears events: in their own transaction, or from the log."""

    function: Callable[..., Any]
    event_types: tuple[type[Event], ...]
    explicit_name: str | None
    delivery: str
    backfill_from: Any
    is_async: bool = False
    partition_by: str | None = None

    @property
    def domain(self) -> str:
        return domain_of_module(self.function.__module__)

    @property
    def name(self) -> str:
        """Name of the subscription: the domain and the function, which survives moves of its module."""
        return self.explicit_name or f"{self.domain}.{self.function.__qualname__}"


@dataclass(slots=True)
class Registry:
    """Handlers and subscribers; what is wrong with them is told by system checks."""

    handlers: dict[type[Message], list[Handler]] = field(default_factory=dict)
    subscribers: list[Subscriber] = field(default_factory=list)
    generation: int = 0  # changes whenever something is added
    _callbacks: list[Callable[[], None]] = field(default_factory=list)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback()` whenever a handler or subscriber is added or removed."""
        self._callbacks.append(callback)

    def changed(self) -> None:
        self.generation += 1
        for callback in self._callbacks:
            callback()

    def add_handler(self, handler: Handler) -> None:
        known = self.handlers.setdefault(handler.message_type, [])
        known[:] = [h for h in known if h.place != handler.place]  # a module imported again
        known.append(handler)
        self.changed()

    def add_subscriber(self, subscriber: Subscriber) -> None:
        self.subscribers.append(subscriber)
        self.changed()

    def handler_of(self, message_type: type[Message]) -> Handler | None:
        known = self.handlers.get(message_type)
        return known[0] if known else None

    def all_handlers(self) -> Iterator[Handler]:
        for known in self.handlers.values():
            yield from known


registry = Registry()


def priority_of(message_type: type[Message]) -> int:
    """What the handler of a command says; 0 where there is none."""
    handler = registry.handler_of(message_type)
    return handler.priority if handler is not None else 0


class HandlerDecorator(Generic[C_co]):
    """Binds a function to the command or query that `handles` was given."""

    def __init__(self, message_type: type[Message], **options: Any) -> None:
        self._message_type, self._options = message_type, options

    @overload
    def __call__(
        self: HandlerDecorator[Command[R]],
        function: Callable[[C_co, Context], Coroutine[Any, Any, R]],
    ) -> Callable[[C_co, Context], Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(
        self: HandlerDecorator[Query[R]],
        function: Callable[[C_co, Context], Coroutine[Any, Any, R]],
    ) -> Callable[[C_co, Context], Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(
        self: HandlerDecorator[Command[R]], function: Callable[[C_co, Context], R]
    ) -> Callable[[C_co, Context], R]: ...
    @overload
    def __call__(
        self: HandlerDecorator[Query[R]], function: Callable[[C_co, Context], R]
    ) -> Callable[[C_co, Context], R]: ...
    def __call__(self: Any, function: Any) -> Any:
        check_takes(function, "message", "context", decorator="handles")
        registry.add_handler(
            Handler(
                function,
                self._message_type,
                is_async=inspect.iscoroutinefunction(function),
                **self._options,
            )
        )
        return function


def handles(
    message_type: type[C],
    *,
    retries: int = 3,
    atomic: bool = True,
    priority: int = 0,
    retry_on: RetryOn | None = None,
    rate_limit: str | None = None,
) -> HandlerDecorator[C]:
    """Make a function the one handler of a command or query: `def f(message, context)`, or async.

    `retries`: how often it is run again, on fresh state, after a ConcurrencyError. `atomic=False`:
    it runs outside a transaction (for slow work with other systems); its events are still
    appended in one.

    What follows holds for messages that wait for a worker, never for an inline send(). `priority`,
    from -100 to 100: workers take messages with a higher one first. `retry_on`, such as
    `{ConnectionError: Retry(max_attempts=10)}`: how failures are tried again; the nearest class of the
    error counts, and others follow the settings. `rate_limit`, such as "100/m" (or /s, /h): how many
    all workers of the service take, spread over the time; the rest waits.

    Raises TypeError for what is no command or query, for a query with an option of the queue, and
    for options of a wrong type; ValueError for those out of bounds.
    """
    if not (isinstance(message_type, type) and issubclass(message_type, Command | Query)):
        raise TypeError(
            f"@handles takes a Command or Query class, not {message_type!r}: write "
            "@handles(PlaceOrder). Events have @subscribes."
        )
    _check_priority(priority)
    queued: dict[str, Any] = {
        "priority": priority,
        "retry_on": check_retry_on(retry_on or {}),
        "rate": parse_rate(rate_limit),
    }
    _refuse_for_query(message_type, queued)
    return HandlerDecorator(message_type, retries=retries, atomic=atomic, **queued)


def _refuse_for_query(message_type: type[Message], queued: dict[str, Any]) -> None:
    if any(queued.values()) and issubclass(message_type, Query):
        raise TypeError(
            f"@handles({message_type.__name__}) is for a query, which never waits in a queue: "
            "leave out priority, retry_on and rate_limit."
        )


def _check_priority(priority: int) -> None:
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise TypeError(f"priority must be a whole number, not {priority!r}.")
    if not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise ValueError(
            f"priority is {priority}: it must be from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}."
        )


def subscribes(
    *event_types: type[E],
    name: str | None = None,
    delivery: str = "async",
    backfill_from: Any = None,
    partition_by: str | None = None,
) -> Callable[[Callable[[E, Context], T]], Callable[[E, Context], T]]:
    """Let a function hear events: `def f(event, context)`, or async.

    `delivery="async"`: a worker calls it after the commit, in the order of each stream.
    `delivery="inline"`: it runs in the event's own transaction. `name` keeps the checkpoint when
    the function is renamed. `backfill_from`: LIVE (the default), BEGINNING, a position or a datetime.
    `partition_by="stream"` allows it to be split, so that several workers call it for different streams.
    """
    for event_type in event_types:
        if not (isinstance(event_type, type) and issubclass(event_type, Event)):
            raise TypeError(
                f"@subscribes takes Event classes, not {event_type!r}: write @subscribes(OrderPlaced)."
            )
    if not event_types:
        raise TypeError("@subscribes needs at least one Event class.")
    if partition_by not in (None, "stream"):
        raise TypeError(f'partition_by is {partition_by!r}: a subscriber takes "stream" or None.')
    if partition_by and delivery == "inline":
        raise TypeError("An inline subscriber runs with its events: it has no partitions.")

    def decorate(function: Callable[[E, Context], T]) -> Callable[[E, Context], T]:
        check_takes(function, "event", "context", decorator="subscribes")
        registry.add_subscriber(
            Subscriber(
                function,
                event_types,
                name,
                delivery,
                backfill_from,
                inspect.iscoroutinefunction(function),
                partition_by,
            )
        )
        return function

    return decorate


def discover() -> None:
    """Import the message, aggregate, handler, projection and saga modules of every installed app."""
    for module in MODULES:
        autodiscover_modules(module)
