"""Editing a copy of the event that parked a stream: for one subscription, in order, the log untouched."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import whizbang
from tests.shop.messages import OrderNoted
from tests.shop.models import OrderSummary
from whizbang import Context, subscribes
from whizbang.exceptions import WhizbangError
from whizbang.models import EditedEvent, ParkedStream, Partition
from whizbang.operations import edits
from whizbang.operations.edits import discard_edit, edit_parked, editable_payload
from whizbang.subscriptions.edits import apply_edits

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
NAME = "shop.OrderSummaries"
STREAM = "shop.Order-1"


def note(*texts: str, order_id: str = "1") -> None:
    events = [OrderNoted(order_id=order_id, text=text) for text in texts]
    whizbang.event_store().append(f"shop.Order-{order_id}", events)


def notes() -> int:
    return OrderSummary.objects.get(order_id="1").notes


def mend(text: str = "mended", **known: Any) -> EditedEvent:
    payload = {"order_id": "1", "text": text}
    return edit_parked(NAME, **{"stream": STREAM, "payload": payload, "reason": "A typo.", **known})


def rows() -> list[Any]:
    store = whizbang.event_store()
    return list(store.driver.read_log(after=0, until=store.head(), limit=None))


@pytest.fixture
def parked(drain: Drain) -> None:
    note("a", "poison", "b")
    drain()
    note("c")


def test_edited_copy_is_applied_and_what_follows_it_in_order(parked: None, drain: Drain) -> None:
    edit = mend("delete", edited_by="ada")
    drain()
    assert notes() == 2 and not ParkedStream.objects.exists()
    assert (edit.version, edit.type, edit.reason, edit.edited_by) == (
        2,
        "shop.OrderNoted",
        "A typo.",
        "ada",
    )


def test_log_and_other_subscriptions_keep_the_original(
    parked: None, isolated_registry: None, drain: Drain
) -> None:
    heard: list[str] = []

    @subscribes(OrderNoted, backfill_from=whizbang.BEGINNING)
    def hear(event: OrderNoted, context: Context) -> None:
        heard.append(event.text)

    mend()
    drain()
    assert notes() == 4
    assert heard == ["a", "poison", "b", "c"]
    texts = [r.event.text for r in whizbang.event_store().read_stream(STREAM)]
    assert texts == ["a", "poison", "b", "c"]


def test_subscription_that_begins_anew_reads_the_copy(parked: None, drain: Drain) -> None:
    mend()
    drain()
    OrderSummary.objects.all().delete()
    Partition.objects.filter(subscription=NAME).update(position=0)
    drain()
    assert notes() == 4 and not ParkedStream.objects.exists()


def test_second_edit_replaces_the_first(parked: None, drain: Drain) -> None:
    mend("poison")
    drain()
    assert ParkedStream.objects.get().attempts == 2
    mend()
    drain()
    assert notes() == 4
    assert EditedEvent.objects.count() == 1


def test_discarded_edit_is_not_read_any_more(parked: None, drain: Drain) -> None:
    mend()
    drain()
    discard_edit(NAME, stream=STREAM, version=2)
    assert list(apply_edits(NAME, rows(), using="default")) == rows()
    with pytest.raises(WhizbangError, match="is not edited"):
        discard_edit(NAME, stream=STREAM, version=2)
    assert notes() == 4


def test_edits_of_any_number_are_found_page_by_page(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(*"abcdefgh")
    for row in rows()[::2]:
        EditedEvent.objects.create(
            subscription=NAME,
            position=row.position,
            stream=row.stream,
            version=row.version,
            type=row.type,
            schema=7,
            payload=row.payload,
            reason="x",
        )
    monkeypatch.setattr("whizbang.subscriptions.edits._PAGE", 2)
    schemas = [row.schema for row in apply_edits(NAME, iter(rows()), using="default")]
    assert schemas == [7, 1] * 4
    schemas = [row.schema for row in apply_edits(NAME, rows()[3:], using="default")]
    assert schemas == [1, 7, 1, 7, 1]
    assert [row.schema for row in apply_edits("other", rows(), using="default")] == [1] * 8


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ({"order_id": "1"}, "text"),
        ({"order_id": "1", "text": 7}, "Expected `str`, got `int`"),
        ({"order_id": "1", "text": "a\0"}, "NUL"),
        ({"order_id": "1", "text": "a", "txet": "b"}, "has no field txet"),
        (["order_id"], "give an object"),
    ],
)
def test_payload_that_is_not_of_the_type_is_refused(
    parked: None, payload: Any, problem: str
) -> None:
    with pytest.raises(WhizbangError, match=problem):
        mend(payload=payload)
    assert not EditedEvent.objects.exists()
    assert not ParkedStream.objects.get().is_retry_requested


def test_edit_needs_a_reason_a_parked_stream_and_a_reader_of_payloads(parked: None) -> None:
    with pytest.raises(ValueError, match="reason"):
        mend(reason=" ")
    with pytest.raises(WhizbangError, match="is not parked"):
        mend(stream="shop.Order-2")
    with pytest.raises(WhizbangError, match="reads no payloads"):
        edit_parked("whizbang.streams", stream=STREAM, payload={}, reason="A typo.")


def test_payload_that_cannot_be_read_is_shown_as_it_was_stored(
    parked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = editable_payload(NAME, stream=STREAM)
    assert (shown.payload, shown.problem) == ({"order_id": "1", "text": "poison"}, "")

    def refuse(*args: Any, **known: Any) -> Any:
        raise whizbang.DecodeError("shop.OrderNoted", "here", "broken")

    monkeypatch.setattr("whizbang.store.event_store.EventStore.decode_events", refuse)
    shown = editable_payload(NAME, stream=STREAM)
    assert shown.payload == {"order_id": "1", "text": "poison"} and "broken" in shown.problem


def test_values_that_json_has_no_form_for_survive(drain: Drain) -> None:
    """As the store keeps them: Decimals are Decimals again, also where payloads are MessagePack."""
    store = whizbang.event_store()
    opened = {"order_id": "1", "customer_id": "c", "total": "7.50", "currency": "EUR"}
    note("poison")
    drain()
    row = next(store.driver.read_stream(STREAM))
    row = row._replace(type="shop.OrderOpened", schema=1)
    schema, payload = edits._encode(store, row, opened)
    (read,) = store.decode_events(row._replace(schema=schema, payload=payload))
    assert str(read.total) == "7.50"


def test_edit_on_the_command_line(parked: None, drain: Drain, tmp_path: Path) -> None:
    out = StringIO()
    call_command("whizbang", "edit", NAME, STREAM, "--show", stdout=out)
    shown = json.loads(out.getvalue())
    file = tmp_path / "payload.json"
    file.write_text(json.dumps({**shown, "text": "mended"}))
    arguments = ("whizbang", "edit", NAME, STREAM)
    with pytest.raises(CommandError, match="reason"):
        call_command(*arguments, "--file", str(file))
    out = StringIO()
    call_command(*arguments, "--file", str(file), "--reason", "A typo.", stdout=out)
    assert "a worker tries the stream again" in out.getvalue()
    drain()
    assert notes() == 4
    call_command(*arguments, "--discard", "2", stdout=out)
    assert not EditedEvent.objects.exists()
    with pytest.raises(CommandError, match="Cannot read"):
        call_command(*arguments, "--file", str(tmp_path / "none"), "--reason", "A typo.")
    file.write_text("{")
    with pytest.raises(CommandError, match="is not JSON"):
        call_command(*arguments, "--file", str(file), "--reason", "A typo.")
