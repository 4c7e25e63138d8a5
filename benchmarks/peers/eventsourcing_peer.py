"""eventsourcing: its application's event store on PostgreSQL, one connection, nothing compressed or ciphered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import Mapper

from benchmarks.appenders.base import TEXT, Appender
from benchmarks.readers import EVENTS_PER_NOTEBOOK, PAGE_EVENTS


class Notebook(Aggregate):
    """Its events carry what ours do: the notebook is their originator."""

    class Taken(Aggregate.Event):
        number: int
        text: str

        def apply(self, aggregate: Any) -> None:
            aggregate.notes += 1

    def __init__(self) -> None:
        self.notes = 0


def make_application(
    database: dict[str, Any], *, creates_tables: bool = False
) -> Application[UUID]:
    return Application(env=make_environment(database, creates_tables=creates_tables))


def make_environment(database: dict[str, Any], *, creates_tables: bool) -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": database["NAME"],
        "POSTGRES_HOST": str(database["HOST"]),
        "POSTGRES_PORT": str(database["PORT"]),
        "POSTGRES_USER": database["USER"],
        "POSTGRES_PASSWORD": database["PASSWORD"],
        "POSTGRES_POOL_SIZE": "1",
        "CREATE_TABLE": "y" if creates_tables else "n",
    }


def create_tables(database: dict[str, Any]) -> None:
    make_application(database, creates_tables=True).close()


class EventsourcingAppender(Appender):
    def __init__(self, name: str, database: dict[str, Any], *, batch: int = 1) -> None:
        super().__init__(name, batch=batch)
        self._database = database

    def open(self, writer: int) -> None:
        self._application = make_application(self._database)
        self._put = self._application.events.put

    def append(self) -> None:
        self._put(make_events(uuid4(), self.batch))

    def close(self) -> None:
        self._application.close()


def make_events(notebook: UUID, count: int, *, after: int = 0) -> list[Any]:
    now = datetime.now(UTC)
    return [
        Notebook.Taken(
            originator_id=notebook, originator_version=version, timestamp=now, number=1, text=TEXT
        )
        for version in range(after + 1, after + count + 1)
    ]


def store_notebook(application: Application[UUID], events: int) -> UUID:
    """An aggregate with so many events, its creation among them."""
    notebook = Notebook()
    application.save(notebook)
    rest = make_events(notebook.id, events - 1, after=1)
    if rest:
        application.events.put(rest)
    return notebook.id


def read_typed(application: Application[UUID], count: int) -> Iterator[Any]:
    """The first events of the whole log, decoded, page by page."""
    mapper: Mapper[UUID] = application.mapper
    start, left = 1, count
    while left:
        found = application.recorder.select_notifications(start, min(left, PAGE_EVENTS))
        for notification in found:
            yield mapper.to_domain_event(notification)
        left -= len(found)
        start = found[-1].id + 1


def fill_log(application: Application[UUID], count: int) -> None:
    for _ in range(count // EVENTS_PER_NOTEBOOK):
        application.events.put(make_events(uuid4(), EVENTS_PER_NOTEBOOK))
