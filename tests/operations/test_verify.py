"""`verify history` and `verify integrity` find what is wrong, and nothing in a whole log."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

import whizbang
from tests.raw_events import insert_raw
from tests.shop.aggregates import Order
from tests.shop.messages import NOON, HappenedElsewhere, OrderGone, OrderNoted, OrderOpened
from whizbang import Aggregate, applies
from whizbang.drivers.stores.protection import unprotect_events
from whizbang.models import EventEntry, EventType, HistoryChange, StoredEvent, Stream
from whizbang.operations.history import rewriting
from whizbang.operations.verify_history import verify_history
from whizbang.operations.verify_integrity import verify_integrity
from whizbang.store.event_store import event_store
from whizbang.testing import drain

pytestmark = pytest.mark.django_db


def append(stream: str, *texts: str) -> None:
    events = [OrderNoted(order_id="1", text=text) for text in texts]
    event_store().append(stream, events)


def kinds(report: Any) -> dict[str, int]:
    return {finding.kind: finding.count for finding in report.findings}


def verify(*arguments: str) -> tuple[str, str]:
    out, error = StringIO(), ""
    try:
        call_command("whizbang", "verify", *arguments, stdout=out)
    except CommandError as exc:
        assert exc.returncode == 1
        error = str(exc)
    return out.getvalue(), error


# History


def test_whole_history_has_no_findings() -> None:
    append("shop.Order-1", "a", "b")
    append("shop.Note-1", "no aggregate has this stream")
    event_store().append("shop.Order-2", [OrderGone(order_id="2")])
    report = verify_history()
    assert (report.events, report.streams, report.aggregates) == (4, 3, 2)
    assert report.findings == []


def test_what_does_not_decode_is_named_with_its_first_event() -> None:
    append("shop.Order-1", "fine")
    insert_raw("shop.Order-1", 2, type="shop.NeverDefined")
    bad = insert_raw("shop.Order-2", 1, payload={"order_id": "1"})
    insert_raw("shop.Order-2", 2, payload={"order_id": "1"})
    insert_raw("shop.Order-3", 1, metadata={})
    report = verify_history()
    assert kinds(report) == {"unknown type": 1, "payload": 2, "metadata": 1}
    assert report.problems == 4
    (payload,) = (f for f in report.findings if f.kind == "payload")
    assert (payload.type, payload.schema) == ("shop.OrderNoted", 1)
    assert (payload.stream, payload.version, payload.position) == ("shop.Order-2", 1, bad.position)


def test_upcaster_that_fails_is_found() -> None:
    insert_raw("shop.Order-1", 1, type="shop.OrderOpened", payload=[])  # not what it expects
    assert kinds(verify_history()) == {"payload": 1}


def test_event_that_no_longer_applies_is_found(isolated_registry: None) -> None:
    class Shelf(Aggregate):
        category = "shop.Shelf"

        @applies(OrderNoted)
        def _noted(self, event: OrderNoted) -> None:
            raise LookupError("the code of today cannot")

    append("shop.Shelf-1", "a", "b")
    event_store().append("shop.Shelf-2", [OrderGone(order_id="1")])
    report = verify_history()
    assert kinds(report) == {"state": 1, "unapplied": 1}
    assert Shelf.stream_of("1") == "shop.Shelf-1"


def test_sample_covers_every_type_and_can_be_repeated() -> None:
    for number in range(30):
        append(f"shop.Order-{number}", "a")
    insert_raw("shop.Odd-1", 1, type="shop.NeverDefined")
    drain()
    assert EventType.objects.count() == 2
    report = verify_history(sample=3)
    assert kinds(report) == {"unknown type": 1}
    assert report.streams <= 5
    again = verify_history(sample=3, seed=report.seed)
    assert (again.streams, again.events, again.seed) == (report.streams, report.events, report.seed)


def test_types_are_decoded_alone() -> None:
    insert_raw("shop.Order-1", 1, type="shop.NeverDefined")
    insert_raw("shop.Order-1", 2, payload={})
    report = verify_history(types=["shop.OrderNoted"])
    assert (report.events, report.aggregates, kinds(report)) == (1, 0, {"payload": 1})
    with pytest.raises(whizbang.UnknownMessageType):
        verify_history(types=["shop.Wrong"])


def test_command_says_what_is_wrong_and_exits_with_1() -> None:
    append("shop.Order-1", "fine")
    out, error = verify("history")
    assert "1 events in 1 streams, 1 folded: no problems" in out
    assert error == ""
    insert_raw("shop.Order-2", 1, type="shop.NeverDefined")
    out, error = verify("history")
    assert "shop.NeverDefined schema 1" in out
    assert "shop.Order-2 version 1" in out
    assert error == "1 problems in 2 events."
    out, error = verify("history", "--json", "--sample", "1", "--seed", "7")
    assert json.loads(out)["seed"] == 7


# Integrity


@pytest.fixture
def three_streams() -> Iterator[None]:
    append("shop.Order-1", "a", "b", "c")
    append("shop.Order-2", "a")
    event_store().append(
        "shop.Order-3", [OrderOpened(order_id="3", customer_id="c", total=1, currency="EUR")]
    )
    drain()
    yield


def test_whole_log_has_no_findings(three_streams: None) -> None:
    append("shop.Order-1", "not in the catalogue yet")
    append("shop.Order-4", "neither")
    report = verify_integrity()
    assert (report.events, report.streams, report.findings) == (7, 4, [])


def test_hole_in_a_stream_is_found(three_streams: None) -> None:
    with rewriting(reason="break it"):
        StoredEvent.objects.filter(stream="shop.Order-1", version=2).delete()
    (finding,) = verify_integrity().findings
    assert (finding.kind, finding.stream, finding.version) == ("hole", "shop.Order-1", 3)


def test_stream_that_does_not_begin_at_1_is_found() -> None:
    insert_raw("shop.Order-9", 2)
    assert kinds(verify_integrity()) == {"hole": 1}


def test_positions_that_fall_are_found() -> None:
    insert_raw("shop.Order-9", 2)
    insert_raw("shop.Order-9", 1)
    assert kinds(verify_integrity()) == {"order": 1}


def test_catalogue_that_says_something_else_is_found(three_streams: None) -> None:
    Stream.objects.filter(name="shop.Order-1").update(last_type="shop.Other")
    Stream.objects.filter(name="shop.Order-2").update(version=5)
    Stream.objects.filter(name="shop.Order-3").delete()
    Stream.objects.create(
        name="shop.Never-1",
        version=1,
        last_position=1,
        first_recorded_at=NOON,
        last_recorded_at=NOON,
    )
    assert kinds(verify_integrity()) == {"catalogue": 4}


def test_index_of_events_that_says_something_else_is_found(three_streams: None) -> None:
    entries = EventEntry.objects.order_by("position")
    first, second = entries[:2]
    EventEntry.objects.filter(pk=first.pk).delete()
    EventEntry.objects.filter(pk=second.pk).update(type="shop.Other")
    assert kinds(verify_integrity()) == {"event index": 2}


@pytest.mark.requires_sqlite
def test_unreadable_payload_is_found(three_streams: None) -> None:
    with rewriting(reason="break it"), connection.cursor() as cursor:
        cursor.execute("UPDATE whizbang_event SET payload = %s WHERE version = 2", [b"\xc1"])
    assert kinds(verify_integrity()) == {"payload": 1}


def test_missing_protection_and_an_open_change_are_found() -> None:
    HistoryChange.objects.create(operation="x", reason="y", open_in="long ago", began_at=NOON)
    unprotect_events(connection)
    assert kinds(verify_integrity()) == {"protection": 2}
    out, error = verify("integrity")
    assert "manage.py migrate" in out
    assert error != ""


def test_memory_stays_bounded() -> None:
    append("shop.Order-1", *["x" * 1000] * 6000)
    event_store().append("elsewhere-1", [HappenedElsewhere()])
    assert Order.stream_of("1") == "shop.Order-1"
    tracemalloc.start()
    try:
        assert verify_integrity().events == 6001
        assert verify_history(types=["shop.OrderNoted"]).events == 6000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000  # the payloads alone are 6 MB
