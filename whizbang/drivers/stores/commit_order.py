"""What stores share where commit order is position order: the end of the log is what can be seen of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

from whizbang.drivers.clock import database_now
from whizbang.drivers.stores.base import LogTail, NewRow, Placed, RowsOfStream, StoredRow
from whizbang.drivers.stores.commit_order_tail import CheckedTail, CommitOrderTail
from whizbang.drivers.stores.relational import RelationalStore
from whizbang.exceptions import ConcurrencyError

Numbered = tuple[str, int, NewRow]  # stream, version, row


class CommitOrderStore(RelationalStore):
    """A store whose later commits always have higher positions."""

    commit_order_is_position_order = True
    conflict_keeps_transaction = True  # a duplicate ends the statement, not the transaction

    def _needs_version(self, item: RowsOfStream) -> bool:
        # A version that was seen stays: reading it ahead of the insert is as good as inside it.
        if super()._needs_version(item):
            return True
        return item.expected != 0 and not item.is_expected_read

    def settled_head(self) -> int:
        return self.last_position()

    def tail(self, *, after: int) -> LogTail:
        return CommitOrderTail(self, after=after)


class CounterStore(CommitOrderStore):
    """Positions come from a counter row, which stays locked until the appending transaction ends."""

    # The first try has locked the counter, so nobody can come first a second time.
    attempts_inside = 2
    # Neither MariaDB, MySQL nor SQL Server uses an index for a comparison of rows, if it has one.
    _after_place = "(stream > %s OR (stream = %s AND version > %s))"

    def _insert(self, ordered: Sequence[RowsOfStream], bases: Sequence[int]) -> list[list[Placed]]:
        recorded_at = database_now(self.using)
        first_of_chunks = self._insert_chunks(numbered(ordered, bases), recorded_at)
        positions = (
            position for first, count in first_of_chunks for position in range(first, first + count)
        )
        return [
            [
                Placed(position, version, recorded_at)
                for version, (_, position) in enumerate(
                    zip(item.rows, positions, strict=False), base + 1
                )
            ]
            for item, base in zip(ordered, bases, strict=True)
        ]

    def _insert_only(self, ordered: Sequence[RowsOfStream], bases: Sequence[int]) -> None:
        self._insert_chunks(numbered(ordered, bases), database_now(self.using))

    def _insert_chunks(
        self, rows: Sequence[Numbered], recorded_at: datetime
    ) -> list[tuple[int, int]]:
        """First position and number of rows of each statement."""
        chunks = list(self._chunks_of(rows))
        with self._all_or_none(len(chunks)):
            return [(self._insert_chunk(chunk, recorded_at), len(chunk)) for chunk in chunks]

    @abstractmethod
    def _chunks_of(self, rows: Sequence[Numbered]) -> Iterator[Sequence[Numbered]]:
        """Rows as single statements take them."""

    @abstractmethod
    def _all_or_none(self, chunk_count: int) -> AbstractContextManager[Any]:
        """What keeps so many statements together, where they need it."""

    @abstractmethod
    def _insert_chunk(self, rows: Sequence[Numbered], recorded_at: datetime) -> int:
        """Insert rows at positions that follow each other; gives the first one."""

    def _lost_transaction(self, ordered: Sequence[RowsOfStream]) -> ConcurrencyError:
        """The conflict behind a deadlock, for which the server has rolled the whole transaction back."""
        if self.connection.in_atomic_block:
            self.connection.set_rollback(True)  # what follows would be in another transaction
        first = ordered[0]
        return ConcurrencyError(first.stream, first.expected, None)

    def _place(self, stream: str, version: int) -> tuple[Any, ...]:
        return stream, stream, version

    def _read(self, sql: str, params: Sequence[Any]) -> list[StoredRow]:
        return [self._stored(row) for row in self._fetch(sql, params)]

    _scan = _read

    @staticmethod
    @abstractmethod
    def _stored(row: tuple[Any, ...]) -> StoredRow:
        """A row of `columns` as the contract has it."""

    def settled_head(self) -> int:
        self.check_session()
        return super().settled_head()

    def tail(self, *, after: int) -> LogTail:
        return CheckedTail(self, after=after, check=self.check_session)

    @abstractmethod
    def check_session(self) -> None:
        """Refuse a session that does not show the log as it is. Raises `WrongMode` or `NotReady`."""


def numbered(ordered: Sequence[RowsOfStream], bases: Sequence[int]) -> list[Numbered]:
    """Rows with their streams and versions, in their order."""
    return [
        (item.stream, version, row)
        for item, base in zip(ordered, bases, strict=True)
        for version, row in enumerate(item.rows, base + 1)
    ]


def naive_utc(value: datetime) -> str:
    """As Django writes datetimes where the product has no time zones: naive UTC."""
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return str(value)[:-6]  # without "+00:00"
