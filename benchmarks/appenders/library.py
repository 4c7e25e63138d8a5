"""`store.append` and `store.import_events`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from benchmarks.appenders.base import (
    EVENTS_PER_STREAM,
    NOTEBOOK_ID,
    TEXT,
    Appender,
    make_streams,
)


class LibraryAppender(Appender):
    """Makes its events in every operation, as an application would, and appends them to a new stream."""

    def __init__(self, name: str, *, batch: int = 1, in_atomic: bool = False) -> None:
        super().__init__(name, batch=batch)
        self._in_atomic = in_atomic

    def open(self, writer: int) -> None:
        from django.db import transaction

        import whizbang
        from benchmarks.app.messages import NoteTaken

        self._transaction = transaction.atomic if self._in_atomic else nullcontext
        self._store = whizbang.event_store()
        self._no_stream = whizbang.NO_STREAM
        self._event_type = NoteTaken
        self._streams = make_streams(writer)

    def append(self) -> None:
        events = [
            self._event_type(notebook_id=NOTEBOOK_ID, number=1, text=TEXT)
            for _ in range(self.batch)
        ]
        with self._transaction():
            self._store.append(next(self._streams), events, expected=self._no_stream)

    def close(self) -> None:
        from django.db import connection

        connection.close()


class NextAppender(LibraryAppender):
    """Appends to one stream, at the version that the last operation gave."""

    def open(self, writer: int) -> None:
        super().open(writer)
        self._stream, self._version = next(self._streams), 0

    def append(self) -> None:
        events = [self._event_type(notebook_id=NOTEBOOK_ID, number=1, text=TEXT)]
        self._version = self._store.append(self._stream, events, expected=self._version)


class AnyAppender(LibraryAppender):
    """Appends to one stream, wherever it is."""

    def open(self, writer: int) -> None:
        super().open(writer)
        self._stream = next(self._streams)

    def append(self) -> None:
        self._store.append(
            self._stream, [self._event_type(notebook_id=NOTEBOOK_ID, number=1, text=TEXT)]
        )


class ImportAppender(LibraryAppender):
    """Imports, in streams of five events."""

    warm_ups = 1

    def append(self) -> None:
        self._store.import_events(self._make_events())

    def _make_events(self) -> Iterator[tuple[Any, ...]]:
        for _ in range(self.batch // EVENTS_PER_STREAM):
            stream = next(self._streams)
            for version in range(1, EVENTS_PER_STREAM + 1):
                yield (
                    stream,
                    self._event_type(notebook_id=NOTEBOOK_ID, number=1, text=TEXT),
                    version,
                )
