"""Rows by key: read, compared and written, on whichever database the suite runs on."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError, IntegrityError, connection, models, transaction
from django.test.utils import CaptureQueriesContext

from tests.projections.models import Account, Seat, Visit
from whizbang.drivers.rows import rows_of
from whizbang.drivers.rows.base import Rows
from whizbang.drivers.rows.orm import OrmRows
from whizbang.exceptions import WhizbangError

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("tables")]
NOON = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["own SQL", "ORM"])
def accounts(request: Any) -> Rows:
    key = Account._meta.pk
    if request.param == "ORM":
        return OrmRows(Account, key, connection)
    return rows_of(Account, key, "default")


@pytest.fixture(params=["own SQL", "ORM"])
def visits(request: Any) -> Rows:
    key = Visit._meta.get_field("visitor")
    if request.param == "ORM":
        return OrmRows(Visit, key, connection)
    return rows_of(Visit, key, "default")


def make_accounts(rows: Rows, count: int) -> list[Any]:
    made = [rows.blank(f"a{i:04}") for i in range(count)]
    for number, row in enumerate(made):
        row.balance, row.seen_at = Decimal(number) / 4, NOON  # type: ignore[attr-defined]
    return made


def test_gateway_is_compiled_once_a_connection() -> None:
    assert rows_of(Account, Account._meta.pk, "default") is rows_of(
        Account, Account._meta.pk, "default"
    )


def test_upserted_rows_are_what_the_orm_reads(accounts: Rows) -> None:
    accounts.upsert(make_accounts(accounts, 1203))

    assert Account.objects.count() == 1203
    stored = Account.objects.get(pk="a0007")
    assert (stored.balance, stored.entries, stored.seen_at) == (Decimal("1.75"), 0, NOON)
    assert stored.changed_at.tzinfo is not None


def test_loaded_rows_equal_the_orms(accounts: Rows) -> None:
    accounts.upsert(make_accounts(accounts, 700))
    keys = [f"a{i:04}" for i in range(650, 750)] + [f"a{i:04}" for i in range(600)]

    loaded = accounts.load(keys, is_locked=True)

    assert len(loaded) == 650
    for row in Account.objects.filter(pk__in=loaded):
        assert accounts.snapshot(loaded[row.pk]) == accounts.snapshot(row)
    assert not loaded["a0001"]._state.adding
    assert loaded["a0001"]._state.db == "default"


def test_upsert_overwrites_by_unique_field_and_keeps_the_primary_key(visits: Rows) -> None:
    old = Visit.objects.create(count=1)
    again: Any = visits.blank(old.visitor)
    again.count, again.pages, again.day = 9, ["/"], date(2024, 2, 29)

    visits.upsert([again])

    stored = Visit.objects.get()
    assert (stored.pk, stored.count, stored.pages, stored.day) == (
        old.pk,
        9,
        ["/"],
        date(2024, 2, 29),
    )


def test_documents_and_nulls_go_round(visits: Rows) -> None:
    documents: list[Any] = [None, [], {"a": [1, True, None, "é"]}, "text", 3]
    made: list[Any] = [visits.blank(uuid.uuid4()) for _ in documents]
    for row, document in zip(made, documents, strict=True):
        row.pages = document if document is not None else []
    visits.upsert(made)

    loaded: dict[Any, Any] = visits.load([row.visitor for row in made], is_locked=False)

    assert [loaded[row.visitor].pages for row in made] == [row.pages for row in made]
    assert loaded[made[0].visitor].day is None


def test_literal_database_default_can_be_counted_with(visits: Rows) -> None:
    row: Any = visits.blank(uuid.uuid4())
    assert row.count == 0


def test_change_inside_a_document_is_seen(visits: Rows) -> None:
    row: Any = visits.blank(uuid.uuid4())
    row.pages = [{"path": "/", "seen": 1}]
    before = visits.snapshot(row)
    assert visits.changed_columns(row, before) == []

    row.pages[0]["seen"] = True

    assert len(visits.changed_columns(row, before)) == 1


def test_unchanged_rows_are_not_written(accounts: Rows) -> None:
    accounts.upsert(make_accounts(accounts, 2))
    loaded = accounts.load(["a0000", "a0001"], is_locked=False)

    with CaptureQueriesContext(connection) as queries:
        accounts.update([(key, row, accounts.snapshot(row)) for key, row in loaded.items()])

    assert len(queries) == 0


def test_one_changed_row_is_one_update_of_what_changed() -> None:
    accounts = rows_of(Account, Account._meta.pk, "default")
    accounts.upsert(make_accounts(accounts, 1))
    row: Any = accounts.load(["a0000"], is_locked=False)["a0000"]
    written_at, before = row.changed_at, accounts.snapshot(row)
    row.entries = 5

    with CaptureQueriesContext(connection) as queries:
        accounts.update([("a0000", row, before)])

    (query,) = queries.captured_queries
    assert query["sql"].startswith("UPDATE")
    assert "entries" in query["sql"]
    assert "balance" not in query["sql"]
    stored = Account.objects.get()
    assert stored.entries == 5
    assert stored.changed_at > written_at


def test_update_of_a_row_that_is_gone_writes_it_again(accounts: Rows) -> None:
    accounts.upsert(make_accounts(accounts, 1))
    row: Any = accounts.load(["a0000"], is_locked=False)["a0000"]
    before = accounts.snapshot(row)
    Account.objects.all().delete()
    row.entries = 5

    accounts.update([("a0000", row, before)])

    assert Account.objects.get().entries == 5


def test_many_keys_are_deleted(accounts: Rows) -> None:
    accounts.upsert(make_accounts(accounts, 1100))

    accounts.delete([f"a{i:04}" for i in range(1099)])

    assert [row.pk for row in Account.objects.all()] == ["a1099"]


def test_insert_missing_leaves_taken_keys_alone_and_names_them() -> None:
    accounts: Rows = OrmRows(Account, Account._meta.pk, connection)
    if connection.vendor != "sqlite":
        accounts = rows_of(Account, Account._meta.pk, "default")
    Account.objects.create(account_id="a0001", entries=7)

    taken = accounts.insert_missing([(row.pk, row) for row in make_accounts(accounts, 3)])

    assert taken == {"a0001"}
    assert Account.objects.get(pk="a0001").entries == 7
    assert Account.objects.count() == 3


@pytest.mark.parametrize("gateway", [rows_of, OrmRows])
def test_upsert_never_writes_over_a_row_with_another_key(gateway: Any) -> None:
    """Where an upsert cannot name its key, the row that is in the way must not be taken for its own."""
    using = "default" if gateway is rows_of else connection
    seats: Rows = gateway(Seat, Seat._meta.pk, using)
    Seat.objects.create(seat="1", guest="Ada")
    old, new = seats.blank("1"), seats.blank("2")
    old.guest, new.guest = "Bob", "Ada"  # type: ignore[attr-defined]
    seats.upsert([old, new])
    assert dict(Seat.objects.values_list("seat", "guest")) == {"1": "Bob", "2": "Ada"}

    new.guest = "Bob"  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError), transaction.atomic():
        seats.upsert([new])
    assert dict(Seat.objects.values_list("seat", "guest")) == {"1": "Bob", "2": "Ada"}


def test_insert_refuses_a_key_that_is_there(accounts: Rows) -> None:
    Account.objects.create(account_id="a0000")
    with pytest.raises(IntegrityError), transaction.atomic():
        accounts.insert(make_accounts(accounts, 2))


@pytest.mark.requires_server
def test_too_long_text_is_refused_and_not_cut(accounts: Rows) -> None:
    with pytest.raises(DataError), transaction.atomic():
        accounts.upsert([accounts.blank("x" * 13), accounts.blank("y")])


def test_enum_members_are_stored_as_their_values(accounts: Rows) -> None:
    class Name(models.TextChoices):
        FIRST = "first"

    accounts.upsert([accounts.blank(Name.FIRST), accounts.blank("second")])

    assert set(Account.objects.values_list("pk", flat=True)) == {"first", "second"}


def test_an_expression_is_refused_in_words() -> None:
    accounts = rows_of(Account, Account._meta.pk, "default")
    row: Any = accounts.blank("a")
    row.entries = models.F("entries") + 1

    with pytest.raises(WhizbangError, match=r"Account\.entries was given the expression"):
        accounts.upsert([row])


@pytest.mark.requires_postgres
def test_array_columns_are_written() -> None:
    from tests.projections.models import Tagged

    rows = rows_of(Tagged, Tagged._meta.pk, "default")
    made: list[Any] = [rows.blank("one"), rows.blank("two")]
    made[0].tags = ["a", "b"]
    rows.upsert(made)

    loaded: dict[Any, Any] = rows.load(["one", "two"], is_locked=True)
    assert (loaded["one"].tags, loaded["two"].tags) == (["a", "b"], [])
