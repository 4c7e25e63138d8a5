"""Which message a worker takes first."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

import whizbang
from tests.messaging.handlers import Declare
from tests.shop.messages import NoteOrder, OpenOrder, TouchOrder
from whizbang import Context, handles
from whizbang.messaging.claims import claim_due
from whizbang.messaging.due import due_of
from whizbang.messaging.processing import InboxProcessor
from whizbang.models import InboxMessage, StoredEvent

pytestmark = pytest.mark.django_db


def note(text: str, **known: Any) -> None:
    whizbang.publish(NoteOrder(order_id=text, text=text), **known)


def claim_types(limit: int = 100) -> list[str]:
    return [row.type.removeprefix("shop.") for row in claim_due(using="default", limit=limit)]


def test_higher_priority_is_claimed_first_then_what_is_due_longer_then_the_lower_id(
    declare: Declare,
) -> None:
    declare(OpenOrder, priority=5)
    declare(TouchOrder, priority=-5)
    whizbang.publish(TouchOrder(order_id="1"))
    note("1")
    note("2", delay=timedelta(seconds=-60))
    whizbang.publish(OpenOrder(order_id="1"))
    whizbang.publish(OpenOrder(order_id="2"))
    ids = list(InboxMessage.objects.order_by("id").values_list("pk", flat=True))
    claimed = [row.pk for row in claim_due(using="default", limit=100)]
    assert claimed == [ids[3], ids[4], ids[2], ids[1], ids[0]]


def test_claim_fills_up_with_lower_priorities_and_stops_at_its_limit(declare: Declare) -> None:
    declare(OpenOrder, priority=5)
    for number in range(3):
        note(str(number))
        whizbang.publish(OpenOrder(order_id=str(number)))
    assert claim_types(limit=4) == ["OpenOrder"] * 3 + ["NoteOrder"]
    assert claim_types(limit=4) == ["NoteOrder"] * 2


def test_message_of_high_priority_waits_for_its_time(declare: Declare) -> None:
    declare(OpenOrder, priority=100)
    whizbang.publish(OpenOrder(order_id="1"), delay=timedelta(hours=1))
    note("1")
    assert claim_types() == ["NoteOrder"]


def test_priorities_never_reorder_a_key(declare: Declare) -> None:
    """Whatever the priorities of its messages are, a key gives them out in the order of their ids."""
    seed = random.randrange(2**32)
    chosen = random.Random(seed)
    for number in range(60):
        declare(NoteOrder, priority=chosen.choice([-100, -1, 0, 1, 100]))
        note(f"{number}", ordering_key=f"k{number % 4}")
    handled: list[tuple[str, int]] = []
    while rows := claim_due(using="default", limit=chosen.randint(1, 9)):
        handled += [(str(row.ordering_key), row.pk) for row in rows]
        chosen.shuffle(rows)
        InboxProcessor(whizbang.event_store())._handle(rows)
    assert len(handled) == 60, seed
    for key in {key for key, _ in handled}:
        ids = [pk for found, pk in handled if found == key]
        assert ids == sorted(ids), seed


def test_message_behind_a_failing_head_of_lower_priority_still_waits(
    declare: Declare, drain: Any
) -> None:
    note("fail", ordering_key="k")
    declare(NoteOrder, priority=100)
    note("second", ordering_key="k")
    drain()
    assert not StoredEvent.objects.exists()


def test_batch_of_low_priority_does_not_run_before_a_command_of_high_priority(
    declare: Declare,
) -> None:
    """Though one worker has claimed them together."""
    whizbang.publish_batch(NoteOrder(order_id="1", text=str(n)) for n in range(3))
    declare(OpenOrder, priority=1)
    whizbang.publish(OpenOrder(order_id="1"))
    InboxProcessor(whizbang.event_store()).run_once()
    types = list(StoredEvent.objects.order_by("position").values_list("type", flat=True))
    assert types == ["shop.OrderOpened"] + ["shop.OrderNoted"] * 3


def test_claim_that_has_lasted_long_gives_lower_priorities_back(declare: Declare) -> None:
    declare(OpenOrder, priority=1)
    whizbang.publish(OpenOrder(order_id="1"))
    note("1")
    with override_settings(WHIZBANG={"LEASE_SECONDS": 0.000001}):
        InboxProcessor(whizbang.event_store()).run_once()
    assert set(InboxMessage.objects.values_list("type", "status", "attempts")) == {
        ("shop.OpenOrder", "handled", 1),
        ("shop.NoteOrder", "stored", 0),
    }


def test_claim_sends_one_statement_more_for_each_priority(declare: Declare) -> None:
    note("1")
    with CaptureQueriesContext(connection) as one:
        claim_due(using="default", limit=1)
    declare(NoteOrder, priority=1)
    note("2")
    with CaptureQueriesContext(connection) as higher:
        claim_due(using="default", limit=1)
    assert len(higher) == len(one)


def test_priority_is_checked_where_it_is_declared() -> None:
    def handle(command: OpenOrder, context: Context) -> str:
        return ""

    for wrong in (101, -101):
        with pytest.raises(ValueError, match="from -100 to 100"):
            handles(OpenOrder, priority=wrong)
    for unfit in (1.5, "high", True):
        with pytest.raises(TypeError, match="whole number"):
            handles(OpenOrder, priority=unfit)  # type: ignore[arg-type]


@pytest.mark.requires_postgres
def test_claim_among_100_000_that_wait_reads_the_index_in_order() -> None:
    """Neither the delayed ones of a higher priority nor those behind the limit are looked at."""
    fill("available_at", delayed=50_000, due=50_000)
    lines = explain(due_of(0, using="default", retries_are_due=False)[:500])
    plan = "\n".join(lines)
    assert "Index Scan using whizbang_inbox_due" in plan, plan
    assert "Sort" not in plan, plan
    assert "Rows Removed by Filter" not in plan, plan


def fill(column: str, *, delayed: int, due: int) -> None:
    """Rows by one statement: `due` of priority 0, and `delayed` of priority 5 until tomorrow."""
    whizbang.publish(OpenOrder(order_id="1"))
    (row,) = InboxMessage.objects.all()
    row.available_at = Now()
    row.save()
    columns = [f.column for f in InboxMessage._meta.concrete_fields if not f.primary_key]
    changed = {"message_id": "gen_random_uuid()"}
    late = {**changed, "priority": "5", column: "now() + interval '1 day'"}
    with connection.cursor() as cursor:
        for count, values in ((due, changed), (delayed, late)):
            source = ", ".join(values.get(c, c) for c in columns)
            cursor.execute(
                f"INSERT INTO whizbang_inbox ({', '.join(columns)}) SELECT {source} "
                f"FROM whizbang_inbox, generate_series(1, {count}) WHERE id = {row.pk}"
            )
        cursor.execute("ANALYZE whizbang_inbox")


def explain(rows: Any) -> Sequence[str]:
    return str(rows.explain(analyze=True)).splitlines()
