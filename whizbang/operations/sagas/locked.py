"""One instance as an operator meets it: to look at, or with its row locked while a decision is carried out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property

from django.db import transaction
from django.db.models import QuerySet

from whizbang.drivers.clock import database_now
from whizbang.drivers.read_only import rolled_back
from whizbang.exceptions import WhizbangError
from whizbang.messaging.nudge import nudge_after_commit
from whizbang.models import ParkedStream, SagaInstance, SagaTimeout
from whizbang.operations.sagas.finding import saga_named
from whizbang.operations.sagas.instance import current_standing, parked_rows
from whizbang.sagas.saga import Saga
from whizbang.sagas.standing import Standing, stream_of
from whizbang.sagas.steps import StepBatch
from whizbang.store.event_store import EventStore, event_store


@contextmanager
def locked(name: str, key: str, *, is_dry_run: bool) -> Iterator[LockedInstance]:
    """A transaction with the instance's row locked, as a step has it; a dry run's is rolled back.

    Raises WhizbangError where there is no such saga.
    """
    store, saga = event_store(), saga_named(name)
    using = store.using
    begun: AbstractContextManager[None] = (
        rolled_back(using) if is_dry_run else transaction.atomic(using=using)
    )
    with begun:
        yield LockedInstance(store, saga, key)
        nudge_after_commit(using)


def seen(name: str, key: str) -> SeenInstance:
    """The instance as it is at this moment; nothing is locked. Raises WhizbangError where there is no such saga."""
    return SeenInstance(event_store(), saga_named(name), key)


class SeenInstance:
    """Where it stands, and what of it has failed."""

    def __init__(self, store: EventStore, saga: type[Saga], key: str) -> None:
        if "\0" in key:  # PostgreSQL refuses a question with one
            raise WhizbangError(f"{saga.name()} has no instance with the key {key!r}.")
        self.saga, self.key, self.stream = saga, key, stream_of(saga, key)
        self.store, self.using = store, store.using
        self._begin()
        self.event = self.parked().first()
        self.timeouts = {row.name: row for row in self.parked_timeouts()}

    def _begin(self) -> None:
        """Before anything is read."""

    @cached_property
    def standing(self) -> Standing | None:
        """None where the event that would start it fails."""
        return current_standing(self.store, self.saga, self.key)

    def is_due(self, timeout: str) -> bool:
        """Has its time come, of a timeout that it waits for?"""
        due_at = None if self.standing is None else self.standing.timeouts.get(timeout)
        return due_at is not None and due_at <= database_now(self.using)

    def parked(self) -> QuerySet[ParkedStream]:
        return parked_rows(self.saga, self.key, using=self.using)

    def parked_timeouts(self) -> QuerySet[SagaTimeout]:
        rows = SagaTimeout.objects.using(self.using).order_by("due_at", "pk")
        return rows.filter(stream=self.stream, parked_at__isnull=False)

    def failed(self, timeout: str | None) -> tuple[ParkedStream | None, Sequence[str]]:
        """The event and the timeouts that are set aside, or the timeout of a name alone.

        Raises WhizbangError where there is nothing of it.
        """
        if timeout is None and (self.event is not None or self.timeouts):
            return self.event, [*self.timeouts]
        if timeout is not None and timeout in self.timeouts:
            return None, [timeout]
        raise WhizbangError(self._why_nothing(timeout))

    def _why_nothing(self, timeout: str | None) -> str:
        standing = self.standing
        if standing is None:
            return f"{self.saga.name()} has no instance with the key {self.key!r}."
        if timeout is None:
            return f"No step of {self.stream!r} has failed: it is {standing.status}."
        due_at = standing.timeouts.get(timeout)
        if due_at is None:
            return f"{self.stream!r} does not wait for the timeout {timeout!r}."
        return f"The timeout {timeout!r} of {self.stream!r} has not failed: it is due {due_at}."


class LockedInstance(SeenInstance):
    """The same, read behind the lock, and with what writes a step of it."""

    def _begin(self) -> None:
        self.batch = StepBatch(self.store, self.saga)
        self.batch.load([self.key])

    @property
    def standing(self) -> Standing | None:
        """As the batch goes on from it."""
        return self.batch.standing_of(self.key)

    def tell_error(self) -> None:
        """The instance's own error is that of what still stands aside, if anything does."""
        event = self.parked().filter(is_retry_requested=False).first()
        left = event or self.parked_timeouts().first()
        rows = SagaInstance.objects.using(self.using).filter(stream=self.stream)
        rows.update(error=left.error if left is not None else "")
