"""The same message again: known by its id, whatever has changed around it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

import whizbang
from tests.shop.messages import NoteOrder, OpenOrder
from whizbang import Command, Context, handles, named
from whizbang.messages import types
from whizbang.messaging import batches
from whizbang.models import DeadLetter, InboxMessage, StoredEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("isolated_registry")]
Drain = Callable[..., Any]


def test_message_with_a_set_has_one_form() -> None:
    from whizbang.messages.encoding import encode_json

    class Tags(Command[None]):
        tags: set[str]

    one, other = Tags(tags={"a", "b", "c"}), Tags(tags={"c", "b", "a"})
    assert encode_json(one) == encode_json(other) == b'{"tags":["a","b","c"]}'


def test_renamed_type_is_the_same_message(drain: Drain) -> None:
    message_id = uuid4()
    whizbang.send(NoteOrder(order_id="1", text="a"), message_id=message_id)
    InboxMessage.objects.update(type="shop.OldNoteOrder")
    named("shop.NoteOrder", aliases=["shop.OldNoteOrder"])(NoteOrder)
    types.forget_names()
    try:
        assert whizbang.send(NoteOrder(order_id="1", text="a"), message_id=message_id) == 1
    finally:
        NoteOrder.__whizbang__.aliases = ()
        types.forget_names()


def test_rival_that_stores_the_id_first_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look before the insert sees nothing, the insert is refused: the row tells who won."""
    message_id = uuid4()
    whizbang.publish(OpenOrder(order_id="rival"), message_id=message_id)
    plain = batches._known_of
    looks: list[int] = []

    def blind_once(envelopes: Any, using: str) -> Any:
        looks.append(1)
        return {} if len(looks) == 1 else plain(envelopes, using)

    monkeypatch.setattr(batches, "_known_of", blind_once)
    with pytest.raises(whizbang.MessageIdReused):
        whizbang.publish(OpenOrder(order_id="mine"), message_id=message_id)
    looks.clear()
    receipt = whizbang.publish_batch(
        [whizbang.envelope(OpenOrder(order_id="rival"), message_id=message_id)]
    )
    assert (receipt.accepted, receipt.duplicates) == (0, 1)


def test_commands_of_one_key_are_handled_in_the_order_they_were_sent(drain: Drain) -> None:
    whizbang.publish_batch(
        whizbang.envelope(
            NoteOrder(order_id="1", text=str(n)), message_id=uuid4(), ordering_key="k"
        )
        for n in range(8)
    )
    drain()
    notes = StoredEvent.objects.order_by("position")
    assert [event.payload["text"] for event in notes] == [str(n) for n in range(8)]


def test_result_is_the_same_for_the_first_and_the_repeated_answer() -> None:
    class Measure(Command[float]):
        pass

    @handles(Measure)
    def measure(command: Measure, context: Context) -> float:
        return 5

    message_id = uuid4()
    answers = [whizbang.send(Measure(), message_id=message_id) for _ in range(2)]
    assert answers == [5.0, 5.0]
    assert [type(answer) for answer in answers] == [float, float]


def test_result_of_another_type_than_promised_is_refused(drain: Drain) -> None:
    class Promise(Command[int]):
        pass

    @handles(Promise)  # type: ignore[arg-type]
    def promise(command: Promise, context: Context) -> str:
        return "no number"

    with pytest.raises(whizbang.WhizbangError, match="cannot be kept"):
        whizbang.send(Promise(), message_id=uuid4())
    whizbang.publish(Promise())
    drain()
    assert DeadLetter.objects.get().attempts == 1


def test_error_with_odd_characters_is_kept(drain: Drain) -> None:
    class Odd(Command[None]):
        pass

    @handles(Odd)
    def odd(command: Odd, context: Context) -> None:
        raise whizbang.Rejected("NUL \0 and surrogate \ud800")

    receipt = whizbang.publish(Odd())
    drain()
    assert receipt.refresh().error == "Rejected: NUL \\x00 and surrogate \\ud800"


def test_broken_iterable_keeps_what_came_before() -> None:
    def rows() -> Any:
        yield OpenOrder(order_id="1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        whizbang.publish_batch(rows())
    assert InboxMessage.objects.count() == 1


def test_message_whose_own_check_breaks_is_rejected_alone() -> None:
    class Broken(Command[None]):
        def clean(self) -> None:
            raise KeyError("oops")

    receipt = whizbang.publish_batch(
        [
            Broken(),
            whizbang.envelope(OpenOrder(order_id="1"), ordering_key="x" * 300),
            OpenOrder(order_id="2"),
        ]
    )
    assert (receipt.accepted, [item.index for item in receipt.rejected]) == (1, [0, 1])


@pytest.mark.parametrize(
    "error",
    [
        whizbang.ConcurrencyError("s", 1, 2),
        whizbang.AggregateNotFound("Order", "1"),
        whizbang.InvalidMessage("shop.OpenOrder", "reason"),
        whizbang.MessageIdReused("id", "shop.OpenOrder"),
        whizbang.NotAuthorized("shop.OpenOrder", "shop.x", "1"),
    ],
)
def test_errors_can_cross_processes(error: Exception) -> None:
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found)) == (type(error), str(error))


def test_stale_version_of_a_form_is_not_tried_again(drain: Drain) -> None:
    calls: list[int] = []

    class Edit(Command[None]):
        version: int

    from tests.shop.aggregates import Order

    @handles(Edit)
    def edit(command: Edit, context: Context) -> None:
        calls.append(1)
        context.load(Order, "1", expected_version=command.version)

    receipt = whizbang.publish(Edit(version=7))
    drain()
    assert (len(calls), receipt.refresh().status) == (1, "failed")
