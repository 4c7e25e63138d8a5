"""Ways to read the same log and the same streams: the bare drivers, and what they are filled with."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.appenders.base import NOTEBOOK_ID, TEXT
from benchmarks.databases import Database

PAGE_EVENTS = 1000
EVENTS_PER_NOTEBOOK = 20

_COLUMNS = "position, stream, version, type, {schema}, payload, metadata, occurred_at, recorded_at"
_LOG = f"SELECT {_COLUMNS} FROM whizbang_event WHERE position > {{p}} ORDER BY position LIMIT {{p}}"
_STREAM = "SELECT version, type, payload FROM whizbang_event WHERE stream = {p} ORDER BY version"


class BareReader(ABC):
    """Fetches rows with documents as raw bytes, page by page, and decodes nothing."""

    name: str
    log: str
    stream: str

    @abstractmethod
    def fetch(self, statement: str, params: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        """All rows of a statement."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    def read_log(self, count: int) -> Iterator[tuple[Any, ...]]:
        position, left = 0, count
        while left:
            rows = self.fetch(self.log, (position, min(left, PAGE_EVENTS)))
            yield from rows
            left -= len(rows)
            position = rows[-1][0]

    def read_stream(self, stream: str) -> Sequence[tuple[Any, ...]]:
        return self.fetch(self.stream, (stream,))


class PsycopgReader(BareReader):
    """In psycopg's binary format, where jsonb comes as the bytes that were sent."""

    name = "bare fetch by psycopg"
    log = _LOG.format(schema="schema", p="%s")
    stream = _STREAM.format(p="%s")

    def __init__(self, database: dict[str, Any]) -> None:
        from psycopg.types.string import ByteaBinaryLoader

        from benchmarks.appenders.bare_psycopg import connect

        self._connection = connect(database)
        self._connection.prepare_threshold = 0
        self._cursor = self._connection.cursor(binary=True)
        self._cursor.adapters.register_loader("jsonb", ByteaBinaryLoader)

    def fetch(self, statement: str, params: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        return self._cursor.execute(statement, params).fetchall()

    def close(self) -> None:
        self._connection.close()


class SqliteReader(BareReader):
    """By sqlite3, which gives instants as the text that they are."""

    name = "bare fetch by sqlite3"
    log = _LOG.format(schema="schema", p="?")
    stream = _STREAM.format(p="?")

    def __init__(self, database: dict[str, Any]) -> None:
        self._connection = sqlite3.connect(database["NAME"], isolation_level=None)

    def fetch(self, statement: str, params: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        return self._connection.execute(statement, params).fetchall()

    def close(self) -> None:
        self._connection.close()


class MariadbReader(BareReader):
    """By MySQLdb or PyMySQL, with documents as bytes."""

    name = "bare fetch by the driver"
    log = _LOG.format(schema="`schema`", p="%s").replace(
        "payload, metadata", "CAST(payload AS BINARY), CAST(metadata AS BINARY)"
    )
    stream = _STREAM.format(p="%s").replace("payload", "CAST(payload AS BINARY)")

    def __init__(self, database: dict[str, Any]) -> None:
        from benchmarks.appenders.bare_mariadb import connect

        self._connection = connect(database)
        self._cursor = self._connection.cursor()

    def fetch(self, statement: str, params: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        self._cursor.execute(statement, params)
        found: Sequence[tuple[Any, ...]] = self._cursor.fetchall()
        return found

    def close(self) -> None:
        self._connection.close()


def make_bare_reader(database: Database) -> BareReader:
    kinds: dict[str, type[Any]] = {
        "sqlite": SqliteReader,
        "postgresql": PsycopgReader,
        "mariadb": MariadbReader,
    }
    reader: BareReader = kinds[database.vendor](database.settings)
    return reader


def fill_log(count: int) -> None:
    """So many events of 300 bytes, in notebooks of twenty."""
    import whizbang

    whizbang.event_store().import_events(
        event
        for number in range(count // EVENTS_PER_NOTEBOOK)
        for event in make_notebook(f"filler-{number}", EVENTS_PER_NOTEBOOK)
    )


def store_notebook(notebook_id: str, count: int) -> None:
    import whizbang

    whizbang.event_store().import_events(make_notebook(notebook_id, count))


def make_notebook(notebook_id: str, count: int) -> Iterator[tuple[Any, ...]]:
    from benchmarks.app.aggregates import Notebook
    from benchmarks.app.messages import NoteTaken

    stream = Notebook.stream_of(notebook_id)
    for version in range(1, count + 1):
        yield stream, NoteTaken(notebook_id=NOTEBOOK_ID, number=1, text=TEXT), version


def analyze(vendor: str) -> None:
    """Let the database plan by what is there, before the clock starts."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE TABLE whizbang_event" if vendor == "mariadb" else "ANALYZE")
