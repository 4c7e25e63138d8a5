"""Following the end of the log where commit order is position order."""

from __future__ import annotations

from collections.abc import Callable

from whizbang.drivers.stores.base import LogTail, StoredRow
from whizbang.drivers.stores.relational import RelationalStore


class CommitOrderTail(LogTail):
    """Reads on after its mark: nothing can appear below a visible position."""

    def __init__(self, store: RelationalStore, *, after: int) -> None:
        self._store = store
        self._mark = after

    def read(self, *, limit: int) -> list[StoredRow]:
        rows = self._store.read_after(self._mark, limit=limit)
        if rows:
            self._mark = rows[-1].position
        return rows

    @property
    def mark(self) -> int:
        return self._mark

    def explain(self) -> list[str]:
        return []


class CheckedTail(CommitOrderTail):
    """Asks before each read whether the session may be trusted."""

    def __init__(self, store: RelationalStore, *, after: int, check: Callable[[], None]) -> None:
        super().__init__(store, after=after)
        self._check = check

    def read(self, *, limit: int) -> list[StoredRow]:
        self._check()
        return super().read(limit=limit)
