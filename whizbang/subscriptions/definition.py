"""What a subscription is to the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from whizbang.drivers.stores.base import LogFilter, StoredRow
from whizbang.store.event_store import EventStore, Recorded
from whizbang.subscriptions.edits import apply_edits
from whizbang.subscriptions.partitioning import BY_STREAM, WHOLE, KeyFilter, SliceRange


class SubscriptionDefinition(ABC):
    """A named reader of the log: which events it wants and what it does with a batch of them."""

    name: str
    kind: str  # projection, inline, subscriber, saga, catalogue or topic
    version: int = 1
    fingerprint: str = ""  # of the model that it fills
    backfill_from: Any = None
    partition_by: str | None = None  # "stream" or "key": by what it may be split
    type_names: frozenset[str] | None = None  # as stored; None: all
    is_told_by_batch: bool = (
        True  # to telemetry, by those who deliver; else it tells by itself, or nothing
    )
    event_types: frozenset[type] = frozenset()  # that it wants of what they are read as

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.decode = store.decode  # the engine puts one there that subscriptions share

    @property
    def using(self) -> str:
        """Alias of the database that holds the checkpoint: the one that deliver() writes to."""
        return self.store.using

    @property
    def edits_name(self) -> str:
        """The subscription whose edited copies of events it reads."""
        return self.name

    def read(self, rows: Iterable[StoredRow]) -> list[Recorded]:
        """Rows in the log's order as the typed events that it wants, edited copies in place of theirs.

        Raises UnknownMessageType or DecodeError.
        """
        return [
            recorded
            for row in apply_edits(self.edits_name, rows, using=self.using)
            for recorded in self.decode(row)
            if type(recorded.event) in self.event_types
        ]

    def wanted(self, slices: SliceRange = WHOLE) -> LogFilter:
        """What of the log a partition has to read."""
        by_slice = self.partition_by == BY_STREAM and not slices.is_whole
        return LogFilter(
            types=None if self.type_names is None else sorted(self.type_names),
            slices=range(slices.first, slices.end) if by_slice else None,
        )

    def keys_of(self, row: StoredRow) -> list[Any]:
        """The keys that an event concerns, where it is partitioned by key. Raises what tells them."""
        raise NotImplementedError(f"{self.name} is not partitioned by key.")

    def deliver_keys(self, rows: Sequence[StoredRow], keys: KeyFilter) -> None:
        """See deliver(), for the keys that the filter takes."""
        raise NotImplementedError(f"{self.name} is not partitioned by key.")

    def note_parked(self, key: str, error: str) -> None:  # noqa: B027 - most keep nothing of it
        """Told, in the same transaction, that a key was set aside or has failed again; without an error, that it goes on."""

    @abstractmethod
    def deliver(self, rows: Sequence[StoredRow]) -> None:
        """Apply events in order, inside the transaction that moves the checkpoint."""
