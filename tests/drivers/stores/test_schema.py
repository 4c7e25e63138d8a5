"""The migrations, on every database."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from tests.drivers.stores.rows import append
from whizbang.models import Rebuild
from whizbang.store.event_store import event_store

pytestmark = pytest.mark.django_db(transaction=True)


def our_objects() -> list[str]:
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
        if connection.vendor == "mysql":
            cursor.execute(
                "SELECT routine_name FROM information_schema.routines"
                " WHERE routine_schema = database()"
            )
            names += [name for (name,) in cursor.fetchall()]
    return sorted(name for name in names if name.startswith("whizbang_"))


def test_migrations_go_back_to_nothing_and_forwards_again() -> None:
    before = our_objects()
    assert before
    try:
        call_command("migrate", "whizbang", "zero", verbosity=0)
        assert our_objects() == []
    finally:
        call_command("migrate", verbosity=0)
    assert our_objects() == before
    assert append(event_store().driver, "s-1", 2) == [1, 2]


def test_one_rebuild_of_a_projection_is_open_at_a_time() -> None:
    """A conditional constraint, which MariaDB and MySQL get as an index of a generated column."""
    Rebuild.objects.create(projection="p", status="done")
    Rebuild.objects.create(projection="p", status="done")
    Rebuild.objects.create(projection="p", status="requested")
    with pytest.raises(IntegrityError), transaction.atomic():
        Rebuild.objects.create(projection="p", status="running")
