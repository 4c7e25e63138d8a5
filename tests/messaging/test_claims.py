"""What a worker claims comes back when it dies, and a poison message kills only itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import override_settings

import whizbang
from tests.shop.messages import NoteOrder, OpenOrder
from whizbang.messaging.claims import claim_due
from whizbang.messaging.completion import LostClaim, complete
from whizbang.messaging.due import due_of, priorities_of
from whizbang.messaging.processing import InboxProcessor
from whizbang.models import DeadLetter, InboxMessage, StoredEvent

pytestmark = pytest.mark.django_db


def let_leases_expire() -> None:
    InboxMessage.objects.filter(status="running").update(
        available_at=F("available_at") - timedelta(hours=1)
    )


def publish(count: int) -> None:
    whizbang.publish_batch(OpenOrder(order_id=str(n)) for n in range(count))


def test_claimed_messages_are_not_claimed_again() -> None:
    publish(3)
    assert len(claim_due(using="default", limit=2)) == 2
    assert len(claim_due(using="default", limit=9)) == 1
    assert claim_due(using="default", limit=9) == []


def test_what_a_dead_worker_left_is_taken_one_by_one() -> None:
    publish(5)
    claim_due(using="default", limit=5)
    let_leases_expire()
    assert [len(claim_due(using="default", limit=5)) for _ in range(6)] == [1, 1, 1, 1, 1, 0]


def test_message_that_kills_its_worker_is_given_up_and_its_neighbours_are_handled(
    drain: Any,
) -> None:
    publish(3)
    claim_due(using="default", limit=3)
    let_leases_expire()
    poison = InboxMessage.objects.order_by("id")[0].pk
    processor = InboxProcessor(whizbang.event_store())
    for _ in range(7):
        (row,) = claim_due(using="default", limit=3)
        if row.pk != poison:
            processor._handle([row])
        let_leases_expire()  # the worker died with the poison
        if InboxMessage.objects.filter(attempts__gte=5).exists():
            break
    drain()
    assert DeadLetter.objects.get().message_id == InboxMessage.objects.get(pk=poison).message_id
    assert DeadLetter.objects.get().reason == "WorkerDied"
    assert StoredEvent.objects.count() == 2


def test_worker_that_lost_its_claim_cannot_commit() -> None:
    publish(1)
    (row,) = claim_due(using="default", limit=1)
    let_leases_expire()
    claim_due(using="default", limit=1)
    with pytest.raises(LostClaim):
        complete(row, "1", OpenOrder)


def test_interrupted_worker_gives_back_what_it_has_not_handled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(3)

    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(InboxProcessor, "_handle", interrupt)
    monkeypatch.setattr("whizbang.messaging.processing.connections", {"default": NotInTransaction})
    with pytest.raises(KeyboardInterrupt):
        InboxProcessor(whizbang.event_store()).run_once()
    assert set(InboxMessage.objects.values_list("status", "attempts")) == {("stored", 0)}


class NotInTransaction:
    """The test itself runs in a transaction, which a worker does not."""

    in_atomic_block = False


def test_long_work_is_given_back_before_the_claim_ends() -> None:
    for number in range(3):
        whizbang.publish(NoteOrder(order_id=str(number), text="a"))
    with override_settings(WHIZBANG={"LEASE_SECONDS": 0.000001}):
        InboxProcessor(whizbang.event_store()).run_once()
    assert InboxMessage.objects.filter(status="handled").count() == 1
    assert set(
        InboxMessage.objects.exclude(status="handled").values_list("status", "attempts")
    ) == {("stored", 0)}


@pytest.mark.requires_sqlite
def test_claiming_walks_the_index_of_what_is_due() -> None:
    """Handled messages stay for days: a claim must not look at them."""
    plan = due_of(0, using="default", retries_are_due=False).explain()
    assert "whizbang_inbox_due" in plan
    assert "whizbang_inbox_key" in plan
    assert "TEMP B-TREE" not in plan
    plan = priorities_of("default").filter(priority__lt=5).explain()
    assert "whizbang_inbox_due (service=? AND priority<?)" in plan
    assert "TEMP B-TREE" not in plan
