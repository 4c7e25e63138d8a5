"""Recorded events change only inside a declared change, which leaves its mark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import utils

import whizbang
from tests.shop.messages import OrderNoted
from whizbang.drivers.stores.protection import missing_triggers, protect_events, unprotect_events
from whizbang.exceptions import WrongMode
from whizbang.models import HistoryChange, StoredEvent
from whizbang.operations.history import open_change, rewriting

STREAM = "shop.Order-1"
UPDATE = "UPDATE whizbang_event SET type = 'shop.Other'"
DELETE = "DELETE FROM whizbang_event"
TRUNCATE = "TRUNCATE whizbang_event"
WAYS = [UPDATE, DELETE, pytest.param(TRUNCATE, marks=pytest.mark.requires_postgres)]


def append(*texts: str) -> None:
    events = [OrderNoted(order_id="1", text=text) for text in texts]
    whizbang.event_store().append(STREAM, events)


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.django_db
@pytest.mark.parametrize("sql", WAYS)
def test_history_is_not_changed_without_a_declared_change(sql: str) -> None:
    append("a", "b")
    with transaction.atomic(), pytest.raises(IntegrityError, match="events are immutable"):
        with transaction.atomic():
            run(sql)
    assert StoredEvent.objects.filter(type="shop.OrderNoted").count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("sql", WAYS)
def test_without_the_triggers_everything_goes(sql: str) -> None:
    """The mutant: it is the triggers that refuse, nothing else."""
    append("a", "b")
    unprotect_events(connection)
    run(sql)
    assert StoredEvent.objects.filter(type="shop.OrderNoted").count() == 0
    protect_events(connection)
    assert missing_triggers(connection) == []


@pytest.mark.django_db
def test_declared_change_is_counted_and_remembered() -> None:
    append("a", "b", "c")
    with rewriting(reason="a wrong import", user="ada", operation="repair"):
        StoredEvent.objects.filter(version__gt=1).update(type="shop.Other")
        StoredEvent.objects.filter(version=3).delete()
    change = HistoryChange.objects.get()
    assert (change.operation, change.reason, change.user) == ("repair", "a wrong import", "ada")
    assert (change.changed_rows, change.open_in) == (3, None)
    assert change.finished_at is not None
    with pytest.raises(IntegrityError), transaction.atomic():
        run(UPDATE)


@pytest.mark.django_db
def test_failed_change_undoes_everything_and_closes() -> None:
    append("a")
    with pytest.raises(ZeroDivisionError), rewriting(reason="try"):
        StoredEvent.objects.all().delete()
        raise ZeroDivisionError
    assert StoredEvent.objects.count() == 1
    assert not HistoryChange.objects.exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        run(DELETE)


@pytest.mark.django_db
def test_change_needs_a_reason_and_is_not_nested() -> None:
    with pytest.raises(ValueError, match="reason"), rewriting(reason=" "):
        raise AssertionError("entered without a reason")
    with pytest.raises(WrongMode), rewriting(reason="a"), rewriting(reason="b"):
        raise AssertionError("entered twice")


@pytest.mark.requires_postgres
@pytest.mark.django_db(transaction=True)
def test_change_left_open_by_a_commit_does_not_reach_the_next_transaction() -> None:
    append("a")
    with transaction.atomic():
        open_change("default", reason="never closed", user="", operation="test")
        run(UPDATE)
    with pytest.raises(IntegrityError):
        run(DELETE)


@pytest.mark.requires_postgres
@pytest.mark.django_db(transaction=True)
def test_change_is_its_own_transactions_alone() -> None:
    append("a", "b")
    other = connection.copy()
    try:
        with rewriting(reason="open meanwhile"):
            StoredEvent.objects.filter(version=1).update(schema=1)
            with pytest.raises(IntegrityError), other.cursor() as cursor:
                cursor.execute(f"{UPDATE} WHERE version = 2")
    finally:
        other.close()


@pytest.mark.django_db
def test_statement_that_meets_no_event_may_pass() -> None:
    """`loaddata` and serialized rollback try an UPDATE before they insert."""
    run(f"{UPDATE} WHERE version < 0")


@pytest.mark.django_db(transaction=True)
def test_django_empties_the_log_after_a_test() -> None:
    """What TransactionTestCase calls when a test has ended."""
    append("a")
    call_command("flush", verbosity=0, interactive=False, inhibit_post_migrate=False)
    assert not StoredEvent.objects.exists()
    assert not HistoryChange.objects.exists()


@pytest.fixture
def outside_tests(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from whizbang.management.commands import flush

    monkeypatch.setattr(flush, "is_in_test", lambda: False)
    yield


@pytest.mark.django_db(transaction=True)
def test_flush_keeps_history_unless_told_otherwise(outside_tests: None) -> None:
    append("a", "b")
    with pytest.raises(CommandError, match="--with-events"):
        call_command("flush", verbosity=0, interactive=False)
    assert StoredEvent.objects.count() == 2
    call_command("flush", verbosity=0, interactive=False, with_events=True)
    assert not StoredEvent.objects.exists()
    change = HistoryChange.objects.get()
    assert (change.operation, change.changed_rows) == ("flush", 2)


@pytest.mark.django_db(transaction=True)
def test_flush_of_an_empty_log_is_djangos_own(outside_tests: None) -> None:
    call_command("flush", verbosity=0, interactive=False)


def test_tests_are_told_by_what_djangos_runners_set_up() -> None:
    assert hasattr(utils._TestState, "saved_data")


@pytest.mark.django_db
def test_migrating_backwards_drops_the_protection() -> None:
    unprotect_events(connection)
    assert len(missing_triggers(connection)) >= 2
    protect_events(connection)
    protect_events(connection)
    assert missing_triggers(connection) == []
