"""send, publish, publish_batch, dispatch and query: the ways into the system."""

from __future__ import annotations

import time
from asyncio import _get_running_loop  # what get_running_loop() is made of, without its exception
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connections, transaction

from whizbang.conf import settings
from whizbang.domain.context import current_context
from whizbang.drivers.errors import naming_missing_tables
from whizbang.exceptions import RemoteQuery, WrongMode
from whizbang.messages.base import Command, Message, Query
from whizbang.messages.envelope import Envelope
from whizbang.messaging.batches import BatchReceipt, store_batch
from whizbang.messaging.queue import store_messages
from whizbang.messaging.receipts import Receipt
from whizbang.pipeline.chain import Chain, chains, edges, on_forget
from whizbang.routing.destination import mode_of, service_of
from whizbang.routing.preparing import join, prepare, set_times
from whizbang.store.event_store import event_store

if TYPE_CHECKING:
    from whizbang.projections.free import Projection

R = TypeVar("R")
P = ParamSpec("P")


def send(
    command: Command[R] | Envelope,
    *,
    message_id: UUID | None = None,
    occurred_at: datetime | None = None,
    user: Any = None,
    ordering_key: str | None = None,
    using: str | None = None,
    timeout_seconds: float = 30.0,
    wait_for: Iterable[type[Projection]] = (),
) -> R:
    """Handle a command now and return its handler's result; its events are stored then.

    Joins the caller's transaction if there is one on the store's alias; inside a handler it shares
    the unit of work. A command of another service goes through the broker, and its answer is waited
    for up to `timeout_seconds` (`WaitTimeout`); inside an open transaction that is refused.

    `wait_for` names projections that shall have applied the events that the handler recorded, before
    it returns: `WaitTimeout` says that they are stored but not applied in time; inside an open
    transaction that is refused, too. Raises what the handler raises, `InvalidMessage`, `NotAuthorized`, `ConcurrencyError`.
    """
    if _get_running_loop() is not None:
        raise _needs_await("send")
    # prepare(), without its call where only the message is given.
    if message_id is None and occurred_at is None and type(command) is not Envelope:
        envelope = Envelope(command, None, None, user, ordering_key, using)
        if (context := current_context.get()) is not None:
            join(envelope, context)
    else:
        envelope = prepare(command, message_id, occurred_at, user, ordering_key, using)
    envelope.timeout_seconds = timeout_seconds
    if wait_for:
        result, targets, seconds = _send_for(envelope, wait_for)
        _waiting().wait_for(targets, timeout_seconds=seconds)
        return result  # type: ignore[no-any-return]
    return _send_routes[type(envelope.message)](envelope)  # type: ignore[no-any-return]


def _send_for(
    envelope: Envelope, wait_for: Iterable[type[Projection]]
) -> tuple[Any, Sequence[Any], float]:
    """The result, what projections have to reach now, and the seconds that are left for it."""
    store, message_type = event_store(envelope.using), type(envelope.message)
    definitions = _waiting().find_definitions(wait_for, store)
    _waiting().refuse_open_transaction(store.using, "send(wait_for=…)")
    if service_of(message_type) != settings.SERVICE:
        raise WrongMode(
            f"send(wait_for=…) waits for the events of {message_type.__whizbang__.type_name}, but service "
            f"{service_of(message_type)!r} handles it and stores them there."
        )
    deadline = time.monotonic() + envelope.timeout_seconds
    result = _send_routes[message_type](envelope)
    placed = () if envelope.unit is None else envelope.unit.placed
    targets = _waiting().targets_of(definitions, placed)
    return result, targets, max(0.0, deadline - time.monotonic())


def _waiting() -> ModuleType:
    """Imported when it is first needed: projections are made of what stands below them."""
    from whizbang.projections import waiting

    return waiting


def query(
    message: Query[R] | Envelope,
    *,
    message_id: UUID | None = None,
    occurred_at: datetime | None = None,
    user: Any = None,
    ordering_key: str | None = None,
    using: str | None = None,
) -> R:
    """Answer a query from projections.

    Raises `RemoteQuery` for a query of another service's domain.
    """
    if _get_running_loop() is not None:
        raise _needs_await("query")
    # As in send().
    if message_id is None and occurred_at is None and type(message) is not Envelope:
        envelope = Envelope(message, None, None, user, ordering_key, using)
        if (context := current_context.get()) is not None:
            join(envelope, context)
    else:
        envelope = prepare(message, message_id, occurred_at, user, ordering_key, using)
    return _query_routes[type(envelope.message)](envelope)  # type: ignore[no-any-return]


def publish(
    command: Command[R] | Envelope,
    *,
    message_id: UUID | None = None,
    occurred_at: datetime | None = None,
    user: Any = None,
    ordering_key: str | None = None,
    using: str | None = None,
    delay: timedelta | None = None,
    at: datetime | None = None,
    expires: datetime | timedelta | None = None,
) -> Receipt[R]:
    """Store a command for a worker and return its receipt.

    Part of the caller's transaction if there is one. `delay` counts from the database's clock, `at`
    is an aware datetime; after `expires` it is not handled any more. Raises `InvalidMessage`,
    `NotAuthorized`, and `MessageIdReused` when the id came with another payload before.
    """
    if _get_running_loop() is not None:
        raise _needs_await("publish")
    envelope = prepare(command, message_id, occurred_at, user, ordering_key, using)
    set_times(envelope, delay=delay, at=at, expires=expires)
    return _store(envelope, mode="durable")


def publish_batch(
    commands: Iterable[Command[Any] | Envelope],
    *,
    user: Any = None,
    occurred_at: datetime | None = None,
    ordering_key: str | None = None,
    using: str | None = None,
    message_id: None = None,
) -> BatchReceipt:
    """Store many commands, lazily and in chunks; workers handle many in one transaction.

    Never raises for one message: the receipt counts accepted and duplicates, and lists the
    rejected with their index and error. Keywords go to the commands that are not in an envelope.
    """
    if _get_running_loop() is not None:
        raise _needs_await("publish_batch")
    if isinstance(commands, Message | Envelope):
        raise TypeError("publish_batch() takes many commands, such as a list; publish() takes one.")
    if message_id is not None:
        raise TypeError("A batch cannot share one message_id: wrap each command in envelope(...).")
    receipt = BatchReceipt(using=event_store(using).using)
    size = settings.get().BATCH_SIZE
    checked: list[tuple[int, Envelope]] = []
    try:
        for index, command in enumerate(commands):
            try:
                envelope = prepare(command, None, None, None, None, None)
                _default(envelope, occurred_at=occurred_at, user=user, ordering_key=ordering_key)
                _refuse_other_store(envelope, using)
                envelope.reply_to = settings.SERVICE
                checked.append((index, check(envelope)))
            except Exception as exc:
                receipt.reject(index, exc)
            if len(checked) == size:
                full, checked = checked, []
                store_batch(full, receipt)
    finally:  # what came before the iterable failed is stored
        store_batch(checked, receipt)
    receipt.rejected.sort(key=lambda item: item.index)
    return receipt


def _default(envelope: Envelope, **known: Any) -> None:
    """A batch's keywords are for the commands that do not say it themselves."""
    for name, value in known.items():
        if getattr(envelope, name) is None:
            setattr(envelope, name, value)


def _refuse_other_store(envelope: Envelope, using: str | None) -> None:
    wanted = using or "default"
    if envelope.using is None:
        envelope.using = using
    elif envelope.using != wanted:
        raise ValueError(
            f"This batch goes to store {wanted!r}, the command to {envelope.using!r}: publish it apart."
        )


def dispatch(
    command: Command[R] | Envelope,
    *,
    message_id: UUID | None = None,
    occurred_at: datetime | None = None,
    user: Any = None,
    ordering_key: str | None = None,
    using: str | None = None,
) -> Receipt[R]:
    """Handle a command as MODES says for its type or domain: inline by default. Always a receipt."""
    if _get_running_loop() is not None:
        raise _needs_await("dispatch")
    envelope = prepare(command, message_id, occurred_at, user, ordering_key, using)
    message_type = type(envelope.message)
    mode = mode_of(message_type, default="inline")
    if mode != "inline" or not settings.get().owns(_domain_of_command(message_type)):
        return _store(envelope, mode="durable" if mode == "inline" else mode)
    result = _send_routes[message_type](envelope)
    using = event_store(envelope.using).using
    return Receipt.handled(envelope.message_id, message_type, result, using=using)


class _Routes(dict[type[Message], Chain]):
    """Where a verb takes each message type; found when a type is sent for the first time."""

    def __init__(self, kind: type[Message], away: Chain) -> None:
        self._kind, self._away = kind, away

    def __missing__(self, message_type: type[Message]) -> Chain:
        if not issubclass(message_type, self._kind):
            raise TypeError(_wrong_kind(message_type, self._kind))
        is_own = service_of(message_type) == settings.SERVICE
        route = self[message_type] = chains[message_type] if is_own else self._away
        return route


def _wrong_kind(given: type, kind: type[Message]) -> str:
    what = "a class: make an instance" if issubclass(given, type) else f"a {given.__name__}"
    return (
        f"A {kind.__name__} is needed here, not {what}. send, publish and dispatch take commands, query "
        "takes queries; events are recorded."
    )


def _needs_await(verb: str) -> WrongMode:
    return WrongMode(
        f"{verb}() was called in a running event loop: use `await whizbang.a{verb}(...)`."
    )


def _domain_of_command(message_type: type[Message]) -> str:
    if not issubclass(message_type, Command):
        raise TypeError(_wrong_kind(message_type, Command))
    return message_type.__whizbang__.domain


def check(envelope: Envelope) -> Envelope:
    """Run the stages of the edge over a command that will be stored."""
    if envelope.ordering_key is not None and not 0 < len(envelope.ordering_key) <= 255:
        raise ValueError("ordering_key must have 1 to 255 characters.")
    _domain_of_command(type(envelope.message))
    service_of(type(envelope.message))
    edges[type(envelope.message)](envelope)
    return envelope


def _store(envelope: Envelope, *, mode: str) -> Receipt[Any]:
    check(envelope)
    envelope.reply_to = settings.SERVICE  # there is a receipt that shall learn of the answer
    using = event_store(envelope.using).using
    if envelope.given_id is not None:
        batch = BatchReceipt(using=using)
        store_batch([(0, envelope)], batch, mode=mode)
        if batch.rejected:
            raise batch.rejected[0].error
    else:
        with naming_missing_tables(using), transaction.atomic(using=using, savepoint=False):
            store_messages([envelope], using=using, mode=mode)
    receipt: Receipt[Any] = Receipt(envelope.message_id, type(envelope.message), using=using)
    return receipt.refresh() if envelope.given_id is not None else receipt


def _send_away(envelope: Envelope) -> Any:
    """Send a command to the service that owns it and wait for its answer."""
    owner = service_of(type(envelope.message))
    using = event_store(envelope.using).using
    if connections[using].in_atomic_block:
        raise WrongMode(
            f"send() to service {owner!r} waits for its reply and cannot do so inside an open "
            "transaction: use publish(), or send after the transaction."
        )
    return _store(envelope, mode="durable").wait(timeout_seconds=envelope.timeout_seconds)


def _refuse_remote_query(envelope: Envelope) -> Any:
    info = type(envelope.message).__whizbang__
    raise RemoteQuery(
        f"{info.type_name} is answered by service {settings.service_of(info.domain)!r}: ask it there, "
        "or keep a projection of your own."
    )


_send_routes = _Routes(Command, _send_away)
_query_routes = _Routes(Query, _refuse_remote_query)


def _forget_routes() -> None:
    _send_routes.clear()
    _query_routes.clear()


on_forget(_forget_routes)


def run_inline(envelope: Envelope) -> Any:
    """Handle a command here and now; see send()."""
    return _send_routes[type(envelope.message)](envelope)


def _twin(verb: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """The async form of a verb: it runs in the thread that Django's connections belong to."""

    async def twin(*args: P.args, **keywords: P.kwargs) -> R:
        return await sync_to_async(verb)(*args, **keywords)

    twin.__name__ = twin.__qualname__ = f"a{verb.__name__}"
    twin.__doc__ = f"See {verb.__name__}()."
    return twin


async def asend(
    command: Command[R] | Envelope,
    *,
    wait_for: Iterable[type[Projection]] = (),
    timeout_seconds: float = 30.0,
    **known: Any,
) -> R:
    """See send()."""
    keywords = {"timeout_seconds": timeout_seconds, **known}
    if not wait_for:
        return await sync_to_async(send)(command, **keywords)
    result, targets, seconds = await sync_to_async(_prepare_and_send)(command, wait_for, **keywords)
    await _waiting().await_for(targets, timeout_seconds=seconds)
    return result  # type: ignore[no-any-return]


def _prepare_and_send(
    command: Command[Any] | Envelope,
    wait_for: Iterable[type[Projection]],
    *,
    message_id: UUID | None = None,
    occurred_at: datetime | None = None,
    user: Any = None,
    ordering_key: str | None = None,
    using: str | None = None,
    timeout_seconds: float,
) -> tuple[Any, Sequence[Any], float]:
    envelope = prepare(command, message_id, occurred_at, user, ordering_key, using)
    envelope.timeout_seconds = timeout_seconds
    return _send_for(envelope, wait_for)


aquery = _twin(query)
apublish = _twin(publish)
apublish_batch = _twin(publish_batch)
adispatch = _twin(dispatch)
