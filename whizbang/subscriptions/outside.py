"""What a subscription is that writes to another system than the database of its checkpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence, Set

from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import WhizbangError
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.partitioning import WHOLE, SliceRange

Failure = tuple[StoredRow, Exception]


class Contended(WhizbangError):
    """Somebody else has changed what was to be written; it has to be read again."""


class DriverFault(WhizbangError):
    """The driver of the other system failed in a way that it does not know of; it is tried again."""


class OutsideBatch(ABC):
    """Some events on their way to the other system.

    load(), open() and save() wait for that system and run in a thread of their own, one at a time: they
    use no database. All may be repeated: an event that is in already is not applied again.
    """

    @abstractmethod
    def load(self) -> bool:
        """Read what the events change; False where nothing has ever been written. Raises `SinkUnavailable`."""

    @abstractmethod
    def open(self) -> None:
        """Make the place that load() did not find."""

    @abstractmethod
    def fold(self) -> Failure | None:
        """Apply the events in memory, up to the first one that fails; gives that one."""

    @abstractmethod
    def save(self) -> None:
        """Write what fold() changed. Raises `SinkUnavailable`, `GenerationGone`, `Contended`, and
        `DocumentRefused` after the rest has been written."""

    @abstractmethod
    def note_saved(self) -> None:
        """Called once save() has ended well, in the thread that may use the database."""

    @abstractmethod
    def mark_applied(self) -> None:
        """Note with each document the last event of these streams that it has, so that a retry of the
        streams can tell; save() writes it."""


class OutsideDefinition(SubscriptionDefinition):
    """A subscription whose checkpoint follows the other system's acknowledgement."""

    @abstractmethod
    def batch(
        self,
        rows: Sequence[StoredRow],
        *,
        parked: Set[str],
        slices: SliceRange = WHOLE,
        is_late: bool = False,
    ) -> OutsideBatch:
        """`parked`: streams that are set aside. `slices`: of the partition. `is_late`: the rows are of a
        stream that is taken up again."""

    def deliver(self, rows: Sequence[StoredRow]) -> None:
        raise WhizbangError(f"{self.name} is delivered outside of transactions, by batch().")
