"""publish, publish_batch, dispatch: the same handlers, later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import override_settings

import whizbang
from tests.shop.messages import CallElsewhere, CloseEverything, NoteOrder, OpenOrder
from tests.shop.models import Heard, OrderSummary
from whizbang.drivers.brokers.cloudevents import from_structured
from whizbang.messaging.processing import InboxProcessor
from whizbang.models import DeadLetter, InboxMessage, OutboxMessage, QueuedMessage, StoredEvent
from whizbang.operations.dead_letters import retry_dead_letter

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]


def test_published_command_is_handled_by_a_worker(drain: Drain) -> None:
    receipt = whizbang.publish(OpenOrder(order_id="1"))
    assert receipt.status == "stored"
    assert not StoredEvent.objects.exists()
    drain()
    assert receipt.wait() == "1"
    assert receipt.status == "handled"
    assert OrderSummary.objects.get(order_id="1").status == "open"


def test_rejection_becomes_a_dead_letter_at_once(drain: Drain) -> None:
    whizbang.send(OpenOrder(order_id="1"))
    receipt = whizbang.publish(OpenOrder(order_id="1"))
    drain()
    with pytest.raises(whizbang.CommandFailed, match="OrderOpenAlready"):
        receipt.wait()
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.attempts) == ("OrderOpenAlready", 1)


def test_failing_command_is_retried_then_given_up(drain: Drain) -> None:
    receipt = whizbang.publish(NoteOrder(order_id="1", text="fail"))
    drain()
    assert receipt.refresh().status == "failed"
    letter = DeadLetter.objects.get()
    assert letter.attempts == 5
    assert "half-way" in letter.error
    assert "RuntimeError" in letter.traceback
    assert not Heard.objects.exists()


def test_dead_letter_can_be_retried(drain: Drain) -> None:
    whizbang.publish(OpenOrder(order_id="1"), message_id=uuid4())
    whizbang.send(OpenOrder(order_id="1"))
    drain()
    retry_dead_letter(DeadLetter.objects.get().pk)
    assert not DeadLetter.objects.exists()
    drain()
    assert DeadLetter.objects.count() == 1


def test_wait_inside_a_transaction_says_why_it_cannot() -> None:
    receipt = whizbang.publish(OpenOrder(order_id="1"))
    with pytest.raises(whizbang.WrongMode, match="open transaction"):
        receipt.wait(timeout_seconds=0.1)


def test_same_id_published_twice_is_one_message(drain: Drain) -> None:
    message_id = uuid4()
    first = whizbang.publish(OpenOrder(order_id="1"), message_id=message_id)
    second = whizbang.publish(OpenOrder(order_id="1"), message_id=message_id)
    assert first.id == second.id
    assert drain().commands == 1
    with pytest.raises(whizbang.MessageIdReused):
        whizbang.publish(OpenOrder(order_id="2"), message_id=message_id)
    assert whizbang.send(OpenOrder(order_id="1"), message_id=message_id) == "1"


def test_batch_counts_accepted_duplicates_and_rejected(drain: Drain) -> None:
    def id_of(number: int) -> UUID:
        return UUID(int=number)

    def rows() -> Any:
        for number in range(1200):
            yield whizbang.envelope(OpenOrder(order_id=f"b{number}"), message_id=id_of(number))
        yield whizbang.envelope(OpenOrder(order_id="b0"), message_id=id_of(0))
        yield whizbang.envelope(OpenOrder(order_id="other"), message_id=id_of(1))
        yield NoteOrder(order_id="x", text="\0")
        yield "no command"
        yield CloseEverything()

    receipt = whizbang.publish_batch(rows())
    assert (receipt.accepted, receipt.duplicates) == (1200, 1)
    assert [item.index for item in receipt.rejected] == [1201, 1202, 1203, 1204]
    drain()
    receipt.wait()
    assert StoredEvent.objects.count() == 1200
    assert whizbang.publish_batch(list(rows())[:1200]).duplicates == 1200


def test_bad_message_does_not_undo_its_batch(drain: Drain) -> None:
    commands: list[Any] = [NoteOrder(order_id=f"n{i}", text="good") for i in range(10)]
    commands.insert(5, NoteOrder(order_id="n5", text="fail"))
    whizbang.publish_batch(commands)
    drain()
    assert StoredEvent.objects.count() == 10
    assert DeadLetter.objects.count() == 1
    assert Heard.objects.filter(text="handled good").count() == 10


def test_batch_runs_in_one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    plain = InboxProcessor._handle_batch
    monkeypatch.setattr(
        InboxProcessor,
        "_handle_batch",
        lambda self, rows: (sizes.append(len(rows)), plain(self, rows)),
    )
    whizbang.publish_batch(OpenOrder(order_id=f"b{i}") for i in range(20))
    InboxProcessor(whizbang.event_store()).run_once()
    assert sizes == [20]


@pytest.mark.parametrize(
    ("modes", "status"),
    [
        ({}, "handled"),
        ({"shop": "durable"}, "stored"),
        ({"shop.OpenOrder": "inline", "shop": "durable"}, "handled"),
    ],
)
def test_dispatch_runs_as_configured(modes: dict[str, str], status: str) -> None:
    with override_settings(WHIZBANG={"MODES": modes}):
        receipt = whizbang.dispatch(OpenOrder(order_id="1"))
        assert receipt.status == status
        assert receipt.result == ("1" if status == "handled" else None)


def test_delayed_command_waits_for_its_time(drain: Drain) -> None:
    receipt = whizbang.publish(OpenOrder(order_id="1"), delay=timedelta(hours=1))
    assert drain().commands == 0
    assert drain(advance=timedelta(hours=2)).commands == 1
    assert receipt.refresh().status == "handled"


def test_expired_command_is_not_handled(drain: Drain) -> None:
    receipt = whizbang.publish(OpenOrder(order_id="1"), expires=timedelta(seconds=-1))
    drain()
    assert receipt.refresh().status == "expired"
    assert not StoredEvent.objects.exists()


def test_failing_head_holds_its_ordering_key(drain: Drain) -> None:
    for text in ("fail", "second"):
        whizbang.publish(NoteOrder(order_id="1", text=text), ordering_key="k")
    whizbang.publish(NoteOrder(order_id="1", text="other"), ordering_key="other")
    drain()
    texts = [e.payload["text"] for e in StoredEvent.objects.order_by("position")]
    assert texts == ["other"]
    assert InboxMessage.objects.filter(status="stored", ordering_key="k").count() == 1


def test_subscriber_sends_what_follows(drain: Drain) -> None:
    whizbang.send(OpenOrder(order_id="1", customer_id="ship me"))
    drain()
    assert OrderSummary.objects.get(order_id="1").status == "gone"
    meta = [r.meta for r in whizbang.event_store().read_stream("shop.Order-1")]
    assert meta[0].correlation_id == meta[1].correlation_id
    assert meta[1].hops == 3


def test_command_of_another_service_goes_through_the_relay(drain: Drain) -> None:
    here = {"SERVICE": "here", "OWNS": ["shop"], "SERVICES": {"there": {"OWNS": ["elsewhere"]}}}
    with override_settings(WHIZBANG=here):
        whizbang.publish(CallElsewhere(text="hello"))
        assert OutboxMessage.objects.get().service == "there"
        assert drain().relayed == 1
    row = QueuedMessage.objects.get()
    sent = from_structured(bytes(row.body))
    assert (row.queue, sent.type) == ("whizbang.there", "elsewhere.CallElsewhere")
    assert OutboxMessage.objects.get().published_at is not None
