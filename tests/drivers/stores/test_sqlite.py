"""What only SQLite's driver promises."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection, transaction

from tests.drivers.stores.rows import append
from whizbang.drivers.stores.base import EventStoreDriver
from whizbang.exceptions import NotReady
from whizbang.models import StoredEvent
from whizbang.store.event_store import event_store

pytestmark = [pytest.mark.requires_sqlite, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def store() -> EventStoreDriver:
    return event_store().driver


def test_locked_database_is_not_a_concurrency_error(store: EventStoreDriver) -> None:
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE")
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 20")
        with pytest.raises(OperationalError, match="locked"):
            append(store, "s-1", 1, 0)
    finally:
        other.close()
        connection.close()


def test_times_are_stored_as_the_orm_reads_them(store: EventStoreDriver) -> None:
    append(store, "s-1")
    (row,) = store.read_stream("s-1")
    event = StoredEvent.objects.get()
    assert (event.occurred_at, event.recorded_at) == (row.occurred_at, row.recorded_at)


def test_missing_table_says_to_migrate(store: EventStoreDriver) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE whizbang_event RENAME TO elsewhere")
        with pytest.raises(NotReady, match="migrate"):
            append(store, "s-1", 1, 0)
        transaction.set_rollback(True)
