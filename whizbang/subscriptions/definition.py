"""What a subscription is to the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from whizbang.drivers.stores.base import StoredRow
from whizbang.store.event_store import EventStore, Recorded
from whizbang.subscriptions.edits import apply_edits


class SubscriptionDefinition(ABC):
    """A named reader of the log: which events it wants and what it does with a batch of them."""

    name: str
    kind: str  # projection, inline, subscriber or catalogue
    version: int = 1
    fingerprint: str = ""  # of the model that it fills
    backfill_from: Any = None
    type_names: frozenset[str] | None = None  # as stored; None: all
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

    @abstractmethod
    def deliver(self, rows: Sequence[StoredRow]) -> None:
        """Apply events in order, inside the transaction that moves the checkpoint."""
