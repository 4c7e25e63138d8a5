"""Scenarios 1, 2, 3, 4 and 14 with real processes, on every database.

Where commit order is position order, what could be broken is the allocator: with one that draws
outside the appending transaction, as AUTO_INCREMENT does, the same readers lose events.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings

import whizbang
from tests.drivers.stores.rows import append, run_together
from tests.processes import ROOT
from tests.shop.messages import OrderNoted, OrderOpened
from tests.shop.models import CustomerTotal, Heard, OrderSummary
from whizbang.models import InboxMessage, OutboxMessage, StoredEvent
from whizbang.testing import drain

SECONDS = 4
pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(child_environment: dict[str, str]) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start_process(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.scenarios.processes", *map(str, arguments)],
            cwd=ROOT,
            env=child_environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start_process
    for process in started:
        process.kill()
        process.communicate()


def run_hostile(start: Start) -> tuple[list[int], list[list[int]]]:
    """What was committed, and what each reader got."""
    readers = [start("read", seed, SECONDS + 1) for seed in range(3)]
    writers = [start("write", number, SECONDS) for number in range(6)]
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    got = [reader.communicate(timeout=120)[0] for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0, 0]
    committed = StoredEvent.objects.order_by("position").values_list("position", flat=True)
    return list(committed), [list(map(int, text.split())) for text in got]


def test_late_committers_lose_no_event(start: Start) -> None:
    committed, seen = run_hostile(start)
    assert len(committed) > 100
    for got in seen:
        assert got == committed


@pytest.mark.requires_mariadb
def test_allocator_outside_the_transaction_would_lose_events(start: Start) -> None:
    """The mutant of the one above."""
    with allocator_outside_the_transaction():
        committed, seen = run_hostile(start)
    assert any(set(got) < set(committed) for got in seen)


@contextmanager
def allocator_outside_the_transaction() -> Iterator[None]:
    """MariaDB's sequences draw as AUTO_INCREMENT does: before the commit, and without a lock."""
    from whizbang.drivers.stores.statements import load_statement

    with connection.cursor() as cursor:
        cursor.execute("SELECT max(value) + 10 FROM whizbang_position")
        (begin,) = cursor.fetchone()
        cursor.execute(f"CREATE SEQUENCE mutant START WITH {begin} INCREMENT BY 10 NOCACHE")
        cursor.execute("DROP FUNCTION whizbang_draw_positions")
        cursor.execute(
            "CREATE FUNCTION whizbang_draw_positions(wanted int) RETURNS bigint"
            " MODIFIES SQL DATA RETURN nextval(mutant)"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION whizbang_draw_positions")
            cursor.execute(load_statement("mysql", "schema/draw_positions"))
            cursor.execute("UPDATE whizbang_position SET value = nextval(mutant) + 10")
            cursor.execute("DROP SEQUENCE mutant")


def test_rollback_leaves_nothing_to_wait_for() -> None:
    """Scenario 2: readers go on as soon as the transaction that drew has ended."""
    driver = whizbang.event_store().driver
    tail = driver.tail(after=driver.settled_head())
    with transaction.atomic():
        append(driver, "loser", 3)
        transaction.set_rollback(True)
    run_together(1, lambda number: append(driver, "winner", 2))
    assert [row.stream for row in tail.read(limit=10)] == ["winner", "winner"]
    assert tail.explain() == []


@pytest.mark.parametrize("version", [0, 3])
def test_one_of_many_processes_wins(start: Start, version: int) -> None:
    """Scenario 3."""
    driver = whizbang.event_store().driver
    append(driver, "s-1", version, 0)
    rivals = [start("append", "s-1", version) for _ in range(6)]
    for rival in rivals:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "ready\n"
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    answers = sorted(rival.communicate(timeout=60)[0].strip() for rival in rivals)
    assert answers == ["lost"] * 5 + ["won"]
    assert driver.stream_version("s-1") == version + 2


@pytest.mark.parametrize(
    ("step", "is_written"),
    [
        ("before the insert", False),
        ("after the insert", False),
        ("before the commit", False),
        ("after the commit", True),
    ],
)
def test_killed_while_writing_is_all_or_nothing(start: Start, step: str, is_written: bool) -> None:
    """Scenario 4: events, inline projections, inbox, outbox and the caller's own rows."""
    process = start("die", step)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    tables: list[Any] = [StoredEvent, CustomerTotal, InboxMessage, OutboxMessage, Heard]
    assert {model.__name__: model.objects.exists() for model in tables} == {
        model.__name__: is_written for model in tables
    }
    # What the dead process held is free: the next writer is not in anybody's way.
    append(whizbang.event_store().driver, "s-next", 1, 0)


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_read_limit_inside_a_transaction_changes_nothing(limit: int) -> None:
    """Scenario 14: seven events of one transaction, read and applied a few at a time."""
    store = whizbang.event_store()
    tail = store.driver.tail(after=store.head())
    opened = OrderOpened(order_id="1", customer_id="c", total="1.50", currency="EUR")
    notes = [OrderNoted(order_id="1", text=str(n)) for n in range(6)]
    store.append("shop.Order-1", [opened, *notes])
    store.append("shop.Order-2", [OrderNoted(order_id="2", text="a")])

    seen = []
    while rows := tail.read(limit=limit):
        assert len(rows) <= limit
        seen += [(row.stream, row.version) for row in rows]
    assert seen == [*(("shop.Order-1", n) for n in range(1, 8)), ("shop.Order-2", 1)]

    with override_settings(WHIZBANG={"BATCH_SIZE": limit}):
        drain()
    assert list(OrderSummary.objects.order_by("order_id").values_list("order_id", "notes")) == [
        ("1", 6),
        ("2", 1),
    ]
