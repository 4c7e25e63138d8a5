"""One instance whose row nobody else changes while an operator's decision is carried out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from django.db import transaction
from django.db.models import QuerySet

from whizbang.drivers.read_only import rolled_back
from whizbang.exceptions import WhizbangError
from whizbang.messaging.nudge import nudge_after_commit
from whizbang.models import ParkedStream, SagaInstance, SagaTimeout
from whizbang.operations.sagas.finding import saga_named
from whizbang.operations.sagas.instance import parked_rows
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


class LockedInstance:
    """What has failed of it, read behind the lock."""

    def __init__(self, store: EventStore, saga: type[Saga], key: str) -> None:
        self.saga, self.key, self.stream = saga, key, stream_of(saga, key)
        self.using = store.using
        self.batch = StepBatch(store, saga)
        self.batch.load([key])
        self.event = self.parked().first()
        self.timeouts = {row.name: row for row in self.parked_timeouts()}

    @property
    def standing(self) -> Standing | None:
        """None where the event that would start it fails."""
        return self.batch.standing_of(self.key)

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

    def tell_error(self) -> None:
        """The instance's own error is that of what still stands aside, if anything does."""
        event = self.parked().filter(is_retry_requested=False).first()
        left = event or self.parked_timeouts().first()
        rows = SagaInstance.objects.using(self.using).filter(stream=self.stream)
        rows.update(error=left.error if left is not None else "")
