"""Calls a saga's methods as a worker does, in a transaction that is rolled back: nothing is sent or kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from whizbang.conf import settings
from whizbang.domain.context import Context, current_context
from whizbang.domain.unit_of_work import UnitOfWork
from whizbang.drivers.read_only import rolled_back
from whizbang.messages.envelope import Envelope
from whizbang.operations.sagas.hearing import Taken
from whizbang.sagas.performing import Performed, Performer
from whizbang.store.event_store import EventStore, event_store


def rehearse_step(store: EventStore, performer: Performer, taken: Taken) -> Performed:
    """What the methods ask for. Raises what they raise.

    What they write to a store's database, or send by other means than self.send(), is undone: mails and HTTP
    calls are not.
    """
    unit = UnitOfWork(store.alias)
    cause = Envelope(taken.message)
    cause.metadata = taken.meta
    cause.using, cause.unit, unit.cause = store.alias, unit, cause
    with _nothing_kept():
        token = current_context.set(Context(cause, performer.standing.saga.__module__))
        try:
            return performer.perform(taken.methods, taken.args, taken.meta)
        finally:
            current_context.reset(token)


@contextmanager
def _nothing_kept() -> Iterator[None]:
    """A transaction of its own for each step: on SQLite no writer waits for a whole replay."""
    with ExitStack() as stack:
        for using in sorted({event_store(alias).using for alias in settings.STORES}):
            stack.enter_context(rolled_back(using))
        yield
