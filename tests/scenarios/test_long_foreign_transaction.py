"""Scenario 5: an unrelated transaction stays open, and holds up neither readers nor subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

import whizbang
from tests.processes import wait_until
from tests.scenarios.sessions import make_tail, positions, write
from tests.shop.messages import OpenOrder
from tests.shop.models import OrderSummary

pytestmark = [pytest.mark.requires_postgres, pytest.mark.django_db(transaction=True)]

# What an event store reads that orders by transaction: nothing from the oldest open one on.
BELOW_THE_OLDEST_TRANSACTION = """
    SELECT position FROM whizbang_event
    WHERE position >= %s AND xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
"""


@pytest.fixture
def foreign(writers: Any) -> Iterator[Any]:
    """Has written, has a snapshot of its own, and reads the log; it is open for the whole test."""
    session = writers()
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    session.execute("CREATE TABLE foreign_work (n integer)")
    session.execute("SELECT count(*) FROM whizbang_event")
    yield session
    session.rollback()


def test_readers_go_on(foreign: Any, writers: Any) -> None:
    burner, writer = writers(), writers()
    first = write(burner, "burnt")
    burner.rollback()
    kept = [write(writer, "kept-1"), write(writer, "kept-2")]
    writer.commit()
    assert positions(make_tail(first - 1).read(limit=10)) == kept
    assert whizbang.event_store().head() == kept[-1]


def test_subscriptions_go_on(foreign: Any, drain: Callable[..., Any]) -> None:
    for number in range(20):
        whizbang.send(OpenOrder(order_id=str(number)))
    drain()
    assert OrderSummary.objects.filter(status="open").count() == 20


def test_reader_that_orders_by_transaction_stands_still(foreign: Any, writers: Any) -> None:
    """The mutant: what the position's barrier saves us from."""
    writer = writers()
    first = write(writer, "kept")
    writer.commit()
    assert not _is_below_the_oldest_transaction(first)
    foreign.rollback()
    # Others on this server, the suite's other process say, may be in older transactions too.
    wait_until(lambda: _is_below_the_oldest_transaction(first))


def _is_below_the_oldest_transaction(position: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(BELOW_THE_OLDEST_TRANSACTION, [position])
        return cursor.fetchall() == [(position,)]
