"""Checks that ask a database: with `migrate`, and with `check --database`."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core import checks
from django.core.management import call_command
from django.db import connection

import whizbang
from tests.shop.messages import OpenOrder, OrderNoted
from tests.shop.models import OrderSummary
from tests.shop.projections import OrderSummaries
from whizbang import Projection, on
from whizbang.checks import check_read_models
from whizbang.models import Subscription

NAME = "shop.OrderSummaries"
Drain = Callable[..., Any]


def warnings(*databases: str) -> list[checks.CheckMessage]:
    found = checks.run_checks(databases=databases or ["default"])
    return [message for message in found if message.id == "whizbang.W007"]


@pytest.mark.django_db
def test_read_models_of_todays_code_are_fine(drain: Drain) -> None:
    whizbang.send(OpenOrder(order_id="1"))
    drain()
    assert warnings() == []


@pytest.mark.django_db
def test_other_version_needs_a_rebuild_and_the_old_rows_stay(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    whizbang.send(OpenOrder(order_id="1"))
    drain()
    monkeypatch.setattr(OrderSummaries, "version", 2)
    (warning,) = warnings()
    assert warning.level == checks.WARNING
    assert NAME in warning.msg and f"manage.py whizbang rebuild {NAME}" in str(warning.hint)
    assert OrderSummary.objects.count() == 1
    call_command("whizbang", "rebuild", NAME, "--now", stdout=StringIO())
    assert warnings() == []


@pytest.mark.django_db
def test_other_model_needs_a_rebuild(drain: Drain) -> None:
    drain()
    Subscription.objects.filter(name=NAME).update(fingerprint="of another model")
    assert [NAME in warning.msg for warning in warnings()] == [True]


@pytest.mark.django_db
def test_projection_that_cannot_be_rebuilt_is_told_what_it_lacks(
    drain: Drain, isolated_registry: None
) -> None:
    class Notes(Projection):
        name = "shop.Notes"
        version = 1

        @on(OrderNoted)
        def noted(self, event: OrderNoted, meta: Any) -> None:
            return None

    drain()
    Subscription.objects.filter(name="shop.Notes").update(version=7)
    (warning,) = warnings()
    assert "clear()" in str(warning.hint)


@pytest.mark.django_db
def test_command_line_tells_it_only_where_it_may_ask_the_database(drain: Drain) -> None:
    drain()
    Subscription.objects.filter(name=NAME).update(version=7)
    outputs = []
    for options in ({}, {"databases": ["default"]}):
        output = StringIO()
        call_command("check", stdout=output, stderr=output, **options)
        outputs.append("whizbang.W007" in output.getvalue())
    assert outputs == [False, True]


def test_no_database_is_touched_unless_one_is_named() -> None:
    """A test without a database fails when it is asked."""
    assert check_read_models(None) == []
    assert check_read_models(None, databases=["another"]) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("column", [None, "fingerprint"])
def test_table_or_column_that_a_migration_will_make_is_not_missed(column: str | None) -> None:
    table, there = Subscription._meta.db_table, "whizbang_subscription_there"
    field = None if column is None else Subscription._meta.get_field(column)
    with connection.schema_editor() as editor:
        if field is None:
            editor.alter_db_table(Subscription, table, there)
        else:
            editor.execute(
                f"ALTER TABLE {table} RENAME COLUMN {field.column} TO was_{field.column}"
            )
    try:
        assert warnings() == []
    finally:
        with connection.schema_editor() as editor:
            if field is None:
                editor.alter_db_table(Subscription, there, table)
            else:
                editor.execute(
                    f"ALTER TABLE {table} RENAME COLUMN was_{field.column} TO {field.column}"
                )
