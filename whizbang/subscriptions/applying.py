"""How a batch reaches a subscription: all at once, or event by event past what fails."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from whizbang.drivers.stores.base import StoredRow
from whizbang.models import ParkedStream
from whizbang.store.slices import slice_of
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.parking import park, park_again, parked_streams
from whizbang.subscriptions.partitioning import SliceRange
from whizbang.subscriptions.tracing import telling_batch

# Runs an action for an event under a savepoint; gives the error that parks it, or None.
Attempt = Callable[[StoredRow, Callable[[], Any]], Exception | None]


class Applier(ABC):
    """Applies events of one partition, in the transaction that moves its checkpoint."""

    def __init__(self, definition: SubscriptionDefinition, slices: SliceRange) -> None:
        self.definition, self.slices = definition, slices

    @property
    def using(self) -> str:
        return self.definition.using

    @abstractmethod
    def is_mine(self, row: StoredRow) -> bool:
        """May the event concern this partition? Told without decoding it."""

    @abstractmethod
    def apply(self, rows: Sequence[StoredRow]) -> None:
        """Apply a batch but for what is parked; raises what its code raises."""

    @abstractmethod
    def apply_one_by_one(self, rows: Sequence[StoredRow], attempt: Attempt) -> None:
        """The same event by event; what fails is parked."""

    @abstractmethod
    def retry(self, parked: ParkedStream, until: int, attempt: Attempt) -> int:
        """Apply in order what is parked, up to a position; gives how many events were applied."""

    @abstractmethod
    def owns(self, parked: ParkedStream) -> bool:
        """Is it this partition that retries it?"""

    def is_wanted(self, row: StoredRow) -> bool:
        names = self.definition.type_names
        return names is None or row.type in names


class StreamApplier(Applier):
    """For subscriptions with one partition, or partitioned by stream: the stream is parked."""

    def is_mine(self, row: StoredRow) -> bool:
        return self.slices.is_whole or self.slices.contains(slice_of(row.stream))

    def owns(self, parked: ParkedStream) -> bool:
        return self.slices.contains(slice_of(parked.stream))

    def apply(self, rows: Sequence[StoredRow]) -> None:
        parked = parked_streams(self.definition.name, using=self.using)
        self._deliver([row for row in rows if row.stream not in parked])

    def apply_one_by_one(self, rows: Sequence[StoredRow], attempt: Attempt) -> None:
        parked = parked_streams(self.definition.name, using=self.using)
        for row in rows:
            if row.stream in parked:
                continue
            error = self._try(row, attempt)
            if error is not None:
                park(self.definition.name, row, error, using=self.using)
                parked.add(row.stream)

    def retry(self, parked: ParkedStream, until: int, attempt: Attempt) -> int:
        applied = 0
        driver = self.definition.store.driver
        for row in driver.read_stream(parked.stream, after=parked.version - 1):
            if row.position > until:
                break
            if not self.is_wanted(row):
                continue
            error = self._try(row, attempt)
            if error is not None:
                park_again(parked, row, error, using=self.using)
                return applied
            applied += 1
        ParkedStream.objects.using(self.using).filter(pk=parked.pk).delete()
        return applied

    def _try(self, row: StoredRow, attempt: Attempt) -> Exception | None:
        return attempt(row, lambda: self._deliver([row]))

    def _deliver(self, rows: Sequence[StoredRow]) -> None:
        with telling_batch(self.definition, rows, self.slices):
            self.definition.deliver(rows)
