"""Cleaning up: what is old and done with goes, in bounded steps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

import whizbang
from tests.shop.messages import NOON, NoteOrder, OpenOrder
from whizbang.models import DeadLetter, InboxMessage, OutboxMessage
from whizbang.operations import cleanup as module
from whizbang.operations.cleanup import Sweep, cleanup, sweeps_of

pytestmark = pytest.mark.django_db


def handle(count: int, drain: Any) -> None:
    whizbang.publish_batch(OpenOrder(order_id=str(number)) for number in range(count))
    drain()


def age(days: int) -> None:
    InboxMessage.objects.filter(finished_at__isnull=False).update(
        finished_at=Now() - timedelta(days=days)
    )


def test_old_handled_messages_go_and_young_waiting_and_failed_ones_stay(drain: Any) -> None:
    handle(50, drain)
    whizbang.publish(NoteOrder(order_id="1", text="fail"))
    drain()
    age(30)
    whizbang.publish(NoteOrder(order_id="1", text="young"))
    drain()
    whizbang.publish(NoteOrder(order_id="1", text="waits"))
    counts = cleanup()
    assert counts.pop("inbox") == 50
    assert counts and not any(counts.values())
    assert sorted(InboxMessage.objects.values_list("status", flat=True)) == [
        "failed",
        "handled",
        "stored",
    ]


def test_sent_outbox_rows_go(drain: Any) -> None:
    sent = [outbox_row(number, Now() - timedelta(days=30)) for number in range(45)]
    OutboxMessage.objects.bulk_create([*sent, outbox_row(90, None), outbox_row(91, Now())])
    assert cleanup()["outbox"] == 45
    assert OutboxMessage.objects.count() == 2


def outbox_row(number: int, published_at: Any) -> OutboxMessage:
    return OutboxMessage(
        service="there",
        message_id=f"00000000-0000-0000-0000-{number:012}",
        type="elsewhere.CallElsewhere",
        payload=b"{}",
        metadata=b"{}",
        occurred_at=Now(),
        available_at=Now(),
        published_at=published_at,
    )


def test_all_rows_of_one_instant_go_though_steps_are_smaller(drain: Any) -> None:
    handle(70, drain)
    age(30)
    sweep = sweeps_of("default")[0]
    counts = [count for count, _ in sweep.run()]
    assert sum(counts) == 70
    assert len(counts) > 1


def test_next_pass_finds_what_has_become_old_before_the_last_ones_place(drain: Any) -> None:
    handle(5, drain)
    age(20)
    sweep = sweeps_of("default")[0]
    assert (sweep.step(), sweep.step()) == (5, 0)
    whizbang.publish(NoteOrder(order_id="1", text="late"))
    drain()
    age(30)
    assert sweep.step() == 1


def test_step_passes_by_so_many_rows_that_stay_and_no_more(drain: Any) -> None:
    """Though all of them are of one instant; what is behind them goes."""
    handle(90, drain)
    give_up()
    DeadLetter.objects.bulk_create(map(letter_of, InboxMessage.objects.all()))
    age(30)
    handle_another(drain)
    age_newest(29)
    counts = [count for count, _ in sweeps_of("default")[0].run()]
    assert counts[:2] == [0, 0]
    assert sum(counts) == 1
    assert InboxMessage.objects.count() == 90


def test_failed_messages_go_once_their_letters_are_discarded(drain: Any) -> None:
    handle(3, drain)
    give_up()
    letter_of(InboxMessage.objects.all()[0]).save()
    age(30)
    assert cleanup()["inbox"] == 2


def give_up() -> None:
    InboxMessage.objects.update(status=InboxMessage.Status.FAILED)


def handle_another(drain: Any) -> None:
    whizbang.publish(OpenOrder(order_id="another"))
    drain()


def age_newest(days: int) -> None:
    rows = InboxMessage.objects.filter(status=InboxMessage.Status.HANDLED)
    rows.update(finished_at=Now() - timedelta(days=days))


def letter_of(row: InboxMessage) -> DeadLetter:
    return DeadLetter(
        message_id=row.message_id,
        type=row.type,
        payload=b"{}",
        metadata=b"{}",
        occurred_at=NOON,
        reason="Boom",
        error="boom",
        attempts=1,
    )


def test_steps_grow_while_they_are_quick_and_shrink_when_they_are_not() -> None:
    sweep = sweeps_of("default")[0]
    sizes = [adapted(sweep, seconds) for seconds in (0.0005, 0.001, 0.001, 0.05, 0.05, 0.05)]
    assert sizes == [30, 45, 67, 33, 20, 20]
    for _ in range(50):
        adapted(sweep, 0.0001)
    assert sweep._size == module._MOST_ROWS


def adapted(sweep: Sweep, seconds: float) -> int:
    sweep._adapt(sweep._size, seconds)
    return sweep._size


@pytest.mark.requires_sqlite
def test_each_table_is_cleaned_up_by_an_index() -> None:
    inbox = "whizbang_inbox_finished"
    big = sweeps_of("default")[:2]  # what operators did stays little
    for sweep, index in zip(big, (inbox, "whizbang_outbox_sent"), strict=True):
        plan = sweep._old.order_by(sweep._column).explain()
        assert index in plan
        assert "TEMP B-TREE" not in plan
