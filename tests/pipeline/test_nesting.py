"""Messages sent by handlers: undone, answered and counted alike in every mode."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

import whizbang
from tests.shop.aggregates import Order
from tests.shop.messages import NoteOrder, OpenOrder, OrderNoted, OrderOpened
from tests.shop.models import Heard
from whizbang import (
    Command,
    Context,
    InvalidMessage,
    Query,
    Rejected,
    handles,
    owned_by,
    subscribes,
)
from whizbang.models import InboxMessage, StoredEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("isolated_registry")]
Drain = Callable[..., Any]
Way = Callable[[Any], None]


@pytest.fixture(params=["send", "publish", "batch"])
def run(request: pytest.FixtureRequest, drain: Drain) -> Iterator[Way]:
    """The three modes, which must make no difference."""

    def run(command: Any) -> None:
        if request.param == "send":
            whizbang.send(command)
        elif request.param == "publish":
            whizbang.publish(command)
        else:
            whizbang.publish_batch([command, OpenOrder(order_id="beside")])
        drain()

    return run


def texts() -> list[str]:
    notes = StoredEvent.objects.filter(type="shop.OrderNoted").order_by("position")
    return [event.payload["text"] for event in notes]


def test_caught_failure_of_a_nested_message_leaves_nothing(run: Way) -> None:
    @owned_by("shop")
    class Inner(Command[None]):
        pass

    @owned_by("shop")
    class Outer(Command[None]):
        pass

    @handles(Inner)
    def inner(command: Inner, context: Context) -> None:
        context.load(Order, "1").record(OrderNoted(order_id="1", text="inner"))
        context.record("shop.Log-1", OrderNoted(order_id="1", text="inner too"))
        Heard.objects.create(text="inner")
        raise Rejected("no")

    @handles(Outer)
    def outer(command: Outer, context: Context) -> None:
        order = context.load(Order, "1")
        order.record(OrderNoted(order_id="1", text="before"))
        with pytest.raises(Rejected):
            whizbang.send(Inner())
        assert order.notes == ["before"]
        order.record(OrderNoted(order_id="1", text="after"))

    run(Outer())
    assert texts() == ["before", "after"]
    assert not Heard.objects.filter(text="inner").exists()


def test_nested_message_with_an_id_is_handled_once(run: Way, drain: Drain) -> None:
    message_id = uuid4()

    @owned_by("shop")
    class Outer(Command[None]):
        pass

    @handles(Outer)
    def outer(command: Outer, context: Context) -> None:
        for _ in range(2):
            answer = whizbang.send(NoteOrder(order_id="1", text="once"), message_id=message_id)
            assert answer == 1

    run(Outer())
    assert texts() == ["once"]
    assert not InboxMessage.objects.exclude(status="handled").exists()


def test_subscriber_that_sends_with_an_id_causes_it_once(drain: Drain) -> None:
    message_id = uuid4()

    @subscribes(OrderOpened)
    def note(event: OrderOpened, context: Context) -> None:
        whizbang.send(NoteOrder(order_id=event.order_id, text="heard"), message_id=message_id)

    drain()
    whizbang.send(OpenOrder(order_id="1"))
    drain()
    assert texts() == ["heard"]


def test_query_inside_a_handler_that_has_recorded_is_fine(run: Way) -> None:
    @owned_by("shop")
    class HowMany(Query[int]):
        pass

    @owned_by("shop")
    class Outer(Command[None]):
        pass

    @handles(HowMany)
    def how_many(query: HowMany, context: Context) -> int:
        return len(context.load(Order, "1").notes)

    @handles(Outer)
    def outer(command: Outer, context: Context) -> None:
        context.load(Order, "1").record(OrderNoted(order_id="1", text="a"))
        assert whizbang.query(HowMany()) == 1

    run(Outer())
    assert texts() == ["a"]


def test_refused_event_leaves_the_aggregate_as_it_was() -> None:
    order = Order("1")
    with pytest.raises(InvalidMessage):
        order.record(OrderNoted(order_id="1", text="\0"))
    assert order.notes == []
    assert order._pending == []


def test_event_is_stored_as_it_was_when_it_was_recorded() -> None:
    class Listed(whizbang.Event):
        items: list[str]

    class Listing(whizbang.Aggregate):
        ignores = (Listed,)

    @owned_by("shop")
    class Outer(Command[None]):
        pass

    @handles(Outer)
    def outer(command: Outer, context: Context) -> None:
        items = ["kept"]
        context.load(Listing, "1").record(Listed(items=items))
        items.append("changed afterwards")

    whizbang.send(Outer())
    (recorded,) = whizbang.event_store().read_all()
    assert recorded.event.items == ["kept"]


def test_event_without_its_aggregate_does_not_lose_the_expected_version() -> None:
    @owned_by("shop")
    class Outer(Command[None]):
        pass

    @handles(Outer, retries=0)
    def outer(command: Outer, context: Context) -> None:
        order = context.load(Order, "1")
        store = whizbang.event_store()
        store.append("shop.Order-1", [OrderNoted(order_id="1", text="rival")])
        context.record("shop.Order-1", OrderNoted(order_id="1", text="first"))
        order.record(OrderNoted(order_id="1", text="second"))

    with pytest.raises(whizbang.ConcurrencyError):
        whizbang.send(Outer())


def test_append_stores_what_inline_subscribers_send() -> None:
    @subscribes(OrderNoted, delivery="inline")
    def react(event: OrderNoted, context: Context) -> None:
        context.send(OpenOrder(order_id="later"))

    whizbang.event_store().append("shop.Order-1", [OrderNoted(order_id="1", text="a")])
    assert InboxMessage.objects.get().type == "shop.OpenOrder"


def test_envelope_can_be_sent_again() -> None:
    wrapped = whizbang.envelope(OpenOrder(order_id="1"), message_id=uuid4())
    assert [whizbang.send(wrapped), whizbang.send(wrapped)] == ["1", "1"]
    note = whizbang.envelope(NoteOrder(order_id="1", text="a"))
    assert [whizbang.send(note), whizbang.send(note)] == [1, 2]


def test_keywords_complete_an_envelope_and_do_not_contradict_it() -> None:
    message_id = uuid4()
    for _ in range(2):
        whizbang.send(whizbang.envelope(OpenOrder(order_id="1")), message_id=message_id)
    assert StoredEvent.objects.count() == 1
    with pytest.raises(TypeError, match="user is given twice"):
        whizbang.send(whizbang.envelope(OpenOrder(order_id="2"), user="a"), user="b")


def test_context_of_a_finished_handler_is_not_joined() -> None:
    copied: list[contextvars.Context] = []

    @owned_by("shop")
    class Outer(Command[None]):
        pass

    @handles(Outer)
    def outer(command: Outer, context: Context) -> None:
        copied.append(contextvars.copy_context())

    whizbang.send(Outer())
    copied[0].run(whizbang.send, OpenOrder(order_id="1"))
    assert StoredEvent.objects.count() == 1


def test_nested_defaults_of_aggregates_are_not_shared() -> None:
    class Deep(whizbang.Aggregate):
        boxes: dict[str, list[int]] = {"a": []}

    Deep("1").boxes["a"].append(1)
    assert Deep("2").boxes == {"a": []}
