"""Reading the next page of a log while the caller works on this one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue
from threading import Thread

from django.db import connections

from whizbang.drivers.stores.base import StoredRow

Page = Sequence[StoredRow]
ReadPage = Callable[[int, int], Page]
_JOIN_SECONDS = 5.0


def read_ahead(
    read_page: ReadPage, *, after: int, page_rows: int, using: str
) -> Generator[Page, None, None]:
    """Pages of `read_page(after, rows)` until one is not full, read in a thread with a connection of its own.

    The server makes a page in about the time in which Python folds one. At most two are in memory.
    """
    reader = _Reader(read_page, page_rows, using)
    reader.start()
    try:
        reader.wanted.put(after)
        while len(rows := reader.take()) == page_rows:
            reader.wanted.put(rows[-1].position)
            yield rows
        if rows:
            yield rows
    finally:
        # Not an executor: a generator that the collector finds may come after its executor.
        reader.wanted.put(None)
        reader.join(_JOIN_SECONDS)


class _Reader(Thread):
    """Answers each wanted position with a page or an error, until it gets None."""

    def __init__(self, read_page: ReadPage, page_rows: int, using: str) -> None:
        super().__init__(name="whizbang-read-ahead", daemon=True)
        self._read_page, self._page_rows, self._using = read_page, page_rows, using
        self.wanted: SimpleQueue[int | None] = SimpleQueue()
        self._pages: SimpleQueue[Page | BaseException] = SimpleQueue()

    def run(self) -> None:
        try:
            while (after := self.wanted.get()) is not None:
                self._pages.put(self._answer(after))
        finally:
            connections[self._using].close()

    def _answer(self, after: int) -> Page | BaseException:
        try:
            return self._read_page(after, self._page_rows)
        except BaseException as exc:  # it belongs to whoever takes the page
            return exc

    def take(self) -> Page:
        found = self._pages.get()
        if isinstance(found, BaseException):
            raise found
        return found
