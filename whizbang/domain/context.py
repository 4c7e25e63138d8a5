"""What a handler gets besides its message."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from asgiref.sync import sync_to_async

from whizbang.exceptions import AggregateNotFound, ConcurrencyError, OwnershipError
from whizbang.messages.base import Command, Event, domain_of_module
from whizbang.messages.envelope import Envelope
from whizbang.messages.metadata import Metadata

if TYPE_CHECKING:
    from whizbang.domain.aggregate import Aggregate
    from whizbang.domain.unit_of_work import UnitOfWork

A = TypeVar("A", bound="Aggregate")

current_context: ContextVar[Context | None] = ContextVar("whizbang_context", default=None)


class Context(msgspec.Struct, eq=False):
    """The work of one message: loads aggregates, records events, sends what follows."""

    # A struct for the reason that Envelope gives.
    _envelope: Envelope
    _module: str  # of the handler: its domain is the one that may record

    @property
    def metadata(self) -> Metadata:
        return self._envelope.metadata

    @property
    def user(self) -> str | None:
        """The user who sent the message, as opaque text."""
        return self._envelope.metadata.user

    @property
    def now(self) -> datetime:
        """The message's occurred_at, so that a replay sees the same time."""
        return self._envelope.metadata.occurred_at

    @property
    def envelope(self) -> Envelope:
        return self._envelope

    @property
    def unit(self) -> UnitOfWork:
        unit: UnitOfWork | None = self._envelope.unit
        if unit is None:
            from whizbang.domain.unit_of_work import UnitOfWork

            unit = self._envelope.unit = UnitOfWork(self._envelope.using)
            unit.cause = self._envelope
        return unit

    def load(self, aggregate: type[A], id: str, *, expected_version: int | None = None) -> A:
        """The aggregate with this id, blank when it has no events; saved when the handler returns.

        One object per stream in a unit of work. `expected_version` is what somebody saw before, a
        web form say: raises `ConcurrencyError` when the stream is elsewhere.
        """
        found = self.unit.load(aggregate, str(id))
        if expected_version is not None and found.version != expected_version:
            raise ConcurrencyError(found.stream, expected_version, found.version, is_lasting=True)
        return found

    def require(self, aggregate: type[A], id: str, *, expected_version: int | None = None) -> A:
        """See load(); raises `AggregateNotFound` when it has no events."""
        found = self.load(aggregate, id, expected_version=expected_version)
        if found.version == 0 and not found._pending:
            raise AggregateNotFound(aggregate.__name__, str(id))
        return found

    async def aload(self, aggregate: type[A], id: str, *, expected_version: int | None = None) -> A:
        """See load()."""
        return await sync_to_async(self.load)(aggregate, id, expected_version=expected_version)

    async def arequire(
        self, aggregate: type[A], id: str, *, expected_version: int | None = None
    ) -> A:
        """See require()."""
        return await sync_to_async(self.require)(aggregate, id, expected_version=expected_version)

    def record(self, stream: str, event: Event) -> None:
        """Record an event without an aggregate, whatever the stream's version is.

        Raises `OwnershipError` for an event of another domain than the handler's or the message's.
        """
        if not isinstance(event, Event):
            raise TypeError(f"record() takes an Event, not {type(event).__name__}.")
        domain = type(event).__whizbang__.domain
        own = {domain_of_module(self._module), type(self._envelope.message).__whizbang__.domain}
        if domain not in own:
            raise OwnershipError(
                f"A handler of domain {sorted(own)} cannot record "
                f"{type(event).__whizbang__.type_name}: send a command to {domain!r} instead."
            )
        self.unit.record(stream, event)

    def send(
        self,
        command: Command[Any],
        *,
        delay: timedelta | None = None,
        at: datetime | None = None,
        ordering_key: str | None = None,
    ) -> None:
        """Send a command after the commit, caused by this message; durable unless MODES says else.

        `delay` counts from the database's clock; `at` is an aware datetime.
        """
        self.unit.send(command, delay=delay, at=at, ordering_key=ordering_key)
