"""Scenario 3: of all writers that expect the same version of a stream, one is stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

import whizbang
from tests.drivers.stores.rows import append, run_together
from tests.shop.aggregates import OrderOpenAlready
from tests.shop.messages import OpenOrder, OrderNoted
from whizbang.exceptions import ConcurrencyError
from whizbang.models import StoredEvent

pytestmark = pytest.mark.django_db(transaction=True)
STREAM = "shop.Order-1"


def note(number: int, expected: int, *, in_transaction: bool) -> int:
    event = OrderNoted(order_id="1", text=str(number))
    if not in_transaction:
        return whizbang.event_store().append(STREAM, [event], expected=expected)
    with transaction.atomic():
        return whizbang.event_store().append(STREAM, [event], expected=expected)


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("count", [2, 8])
def test_one_of_many_is_stored(count: int, before: int, in_transaction: bool) -> None:
    for number in range(before):
        note(number, number, in_transaction=False)
    results = run_together(
        count, lambda number: note(number, before, in_transaction=in_transaction)
    )
    won = [number for number, result in enumerate(results) if result == before + 1]
    lost = [result for result in results if isinstance(result, ConcurrencyError)]
    assert (len(won), len(lost)) == (1, count - 1), results
    stored = [recorded.event.text for recorded in whizbang.event_store().read_stream(STREAM)]
    assert stored[before:] == [str(won[0])]


def test_one_of_two_handlers_opens_the_order(transactional_db: None) -> None:
    """The other is handled again on fresh state, where the domain refuses it."""
    results = run_together(2, lambda number: whizbang.send(OpenOrder(order_id="1")))
    assert "1" in results
    assert [type(result) for result in results if result != "1"] == [OrderOpenAlready]
    assert StoredEvent.objects.count() == 1


@pytest.mark.requires_postgres
def test_without_the_unique_version_all_would_win(log_without_unique_versions: None) -> None:
    """The mutant: the same writers on a log that lacks the constraint."""

    def write(number: int) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute("SET search_path TO unguarded, public")
        return append(whizbang.event_store().driver, STREAM, 1, 0)

    assert run_together(2, write) == [[1], [1]]


@pytest.fixture
def log_without_unique_versions(transactional_db: None) -> Iterator[Any]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA unguarded")
        cursor.execute(
            "CREATE TABLE unguarded.whizbang_event (LIKE public.whizbang_event INCLUDING IDENTITY)"
        )
        yield
        cursor.execute("DROP SCHEMA unguarded CASCADE")
