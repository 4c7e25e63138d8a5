"""What happened to this order? The pages that answer it: who may see them, what they say, and what they cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from django.contrib.admin.utils import quote
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

import whizbang
from tests.admin.clients import EVIL, user_with
from tests.shop.messages import NoteOrder, OpenOrder, OrderGone, OrderNoted
from tests.trips.messages import TripRequested
from whizbang import PERSONAL, Aggregate, Event, applies, named
from whizbang.models import DeadLetter, EventEntry, InboxMessage, OperatorAction, StoredEvent
from whizbang.operations.audit import record_action
from whizbang.operations.history import rewriting
from whizbang.testing import drain
from whizbang_admin.streams import event as event_module

pytestmark = pytest.mark.django_db
STREAM = "shop.Order-1"


@named("tests.Subscribed")
class Subscribed(Event):
    mail: Annotated[str, PERSONAL]
    plan: str


class Reader(Aggregate):
    category = "tests.Reader"
    mail: str = ""
    plan: str = ""

    @applies(Subscribed)
    def _subscribed(self, event: Subscribed) -> None:
        self.mail, self.plan = event.mail, event.plan


def url(page: str, *args: Any, stream: str = "") -> str:
    return reverse(f"admin:whizbang_stream_{page}", args=[*args, quote(stream)] if stream else args)


def stored(**wanted: Any) -> StoredEvent:
    return StoredEvent.objects.filter(**wanted).order_by("position")[0]


def ids_of(event: StoredEvent) -> tuple[str, str]:
    return event.metadata["message_id"], event.metadata["correlation_id"]


@pytest.fixture
def order() -> str:
    whizbang.send(OpenOrder(order_id="1"), user="anna")
    whizbang.send(NoteOrder(order_id="1", text="hello"), user=EVIL)
    drain()
    return STREAM


@pytest.fixture
def trip() -> str:
    event = TripRequested(trip_id="1", seat="1a", price=7)
    whizbang.event_store().append("trips.Told-1", [event])
    drain()
    return str(stored(type="trips.TripRequested").metadata["correlation_id"])


@pytest.fixture
def reader() -> Iterator[str]:
    event = Subscribed(mail="secret", plan="daily")
    whizbang.event_store().append("tests.Reader-1", [event, event])
    yield "tests.Reader-1"


def pages_of(stream: str, correlation: str) -> list[str]:
    return [
        url("search"),
        url("timeline", stream=stream),
        url("event", 1, stream=stream),
        url("download", 1, stream=stream),
        url("state", 1, stream=stream),
        url("travel", stream=stream) + "?at=2024-01-01T12:00&by=recorded",
        url("trace", correlation),
    ]


def test_each_page_needs_the_permission_to_view_streams(order: str) -> None:
    nobody, somebody = user_with("view_deadletter"), user_with("view_stream")
    for page in pages_of(order, ids_of(stored(version=1))[1]):
        assert Client().get(page).status_code == 302
        assert "/login/" in Client().get(page)["Location"]
        assert nobody.get(page).status_code == 403
        assert somebody.get(page).status_code == (302 if "/travel/" in page else 200)


def test_pages_cost_few_statements(trip: str) -> None:
    client = user_with("view_stream", "view_deadletter", "view_inboxmessage", "view_operatoraction")
    pages = pages_of("shop.Order-1", trip)
    whizbang.send(OpenOrder(order_id="1"))
    pages += [f"{pages[0]}?type=trips.SeatReserved&since=2024-01-01T00:00&before=2100-01-01T00:00"]
    pages += [f"{pages[0]}?q={uuid4()}", f"{pages[0]}?q=shop.Or"]
    for page in pages:
        with CaptureQueriesContext(connection) as captured:
            client.get(page)
        assert len(captured) < 25, page


# The box


def test_box_goes_straight_to_what_a_term_names(order: str) -> None:
    client = user_with("view_stream")
    message, correlation = ids_of(stored(version=1))
    expected = {
        order: url("timeline", stream=order),
        "1": url("timeline", stream=order),
        f" {message} ": url("event", 1, stream=order),
        correlation: url("trace", correlation),
    }
    for term, place in expected.items():
        assert client.get(url("search"), {"q": term}).headers.get("Location") == place


def test_box_shows_what_there_is_where_that_is_more_than_one(order: str) -> None:
    whizbang.send(OpenOrder(order_id="12"))
    drain()
    client = user_with("view_stream")
    page = client.get(url("search"), {"q": "shop.Order-"}).text
    assert "shop.Order-12" in page and ">shop.Order-1<" in page
    # The first event of all has its own id as that of its correlation.
    whizbang.event_store().append("shop.Order-3", [OrderNoted(order_id="3", text="a")])
    message = ids_of(stored(stream="shop.Order-3"))[0]
    page = client.get(url("search"), {"q": message}).text
    assert url("trace", message) in page and url("event", 1, stream="shop.Order-3") in page


def test_box_finds_a_stream_before_the_catalogue_has_it() -> None:
    whizbang.event_store().append("shop.Order-9", [OrderNoted(order_id="9", text="a")])
    answer = user_with("view_stream").get(url("search"), {"q": "shop.Order-9"})
    assert answer.status_code == 302


def test_box_finds_messages_for_those_who_may_see_them() -> None:
    receipt = whizbang.publish(OpenOrder(order_id="1"))
    row = InboxMessage.objects.get()
    page = reverse("admin:whizbang_inboxmessage_change", args=[row.pk])
    term = {"q": str(receipt.id)}
    assert page in user_with("view_stream", "view_inboxmessage").get(url("search"), term).text
    shown = user_with("view_stream").get(url("search"), term).text
    assert page not in shown and "shop.OpenOrder, stored" in shown


@pytest.mark.parametrize("term", [EVIL, "nothing", "\0", "x" * 5000, f"{UUID(int=9)}", "%", "_"])
def test_box_says_where_nothing_is_known(order: str, term: str) -> None:
    page = user_with("view_stream").get(url("search"), {"q": term})
    assert page.status_code == 200
    assert EVIL not in page.text
    assert "Nothing is known here" in page.text or term == "\0"


def test_events_are_found_by_type_user_and_time(order: str) -> None:
    client = user_with("view_stream")

    def found(**asked: str) -> str:
        return client.get(url("search"), asked).text

    link = url("event", 2, stream=order)
    assert link in found(type="shop.OrderNoted")
    assert link in found(user=EVIL)
    assert escape(EVIL) in found(user=EVIL) and EVIL not in found(user=EVIL)
    assert link not in found(user="anna")
    assert link in found(since="2024-01-01T00:00")
    assert "No such events" in found(before="2024-01-01T00:00")
    assert "Enter a valid date/time" in found(since="yesterday")
    assert "Enter a valid UUID" in found(correlation_id="x")


def test_list_of_events_pages_both_ways(order: str) -> None:
    events = [OrderNoted(order_id="2", text=str(number)) for number in range(60)]
    whizbang.event_store().append("shop.Order-2", events)
    drain()
    client, asked = user_with("view_stream"), {"type": "shop.OrderNoted"}
    first = client.get(url("search"), asked)
    assert [text for text, _ in first.context["pages"]] == ["Older events"]
    older = client.get(first.context["pages"][0][1])
    assert [text for text, _ in older.context["pages"]] == ["Newer events"]
    newer = client.get(older.context["pages"][0][1])
    assert newer.context["lines"] == first.context["lines"]
    for name in ("older", "newer"):
        assert client.get(url("search"), asked | {name: "x"}).status_code == 404


# Timeline


def test_timeline_is_read_from_its_end_too() -> None:
    events = [OrderNoted(order_id="1", text=f"note {n}.") for n in range(1, 121)]
    whizbang.event_store().append(STREAM, events)
    client, place = user_with("view_stream"), url("timeline", stream=STREAM)
    page = client.get(place, {"before": ""}).text
    assert page.index("note 120.") < page.index("note 71.") and "note 70." not in page
    assert "Events 71 to 120 of 120" in page and 'href="?before=71"' in page
    page = client.get(place, {"before": "71"}).text
    assert "Events 21 to 70 of 120" in page and 'href="?before=121"' in page
    page = client.get(place, {"before": "21"}).text
    assert "note 1." in page and "Earlier events" not in page
    for wrong in ("x", "-1", "²"):
        assert client.get(place, {"before": wrong}).status_code == 404


def test_timeline_tells_what_operators_did_and_who_has_set_it_aside(order: str) -> None:
    whizbang.event_store().append(order, [OrderNoted(order_id="1", text="poison")])
    drain()
    record_action("heal", f"stream {order}", using="default", operator="anna", reason=EVIL)
    place = url("timeline", stream=order)
    page = user_with("view_stream", "view_parkedstream", "view_operatoraction").get(place).text
    assert "Set aside by shop.OrderSummaries at version 3" in page
    assert "What operators did" in page and escape(EVIL) in page and EVIL not in page
    page = user_with("view_stream").get(place).text
    assert "Set aside" not in page and "What operators did" not in page
    assert OperatorAction.objects.count() == 1


# Event


def test_event_tells_what_caused_it_and_what_it_caused(trip: str) -> None:
    client = user_with("view_stream", "view_inboxmessage")
    event = stored(type="trips.SeatReserved")
    page = client.get(url("event", event.version, stream=event.stream)).text
    row = InboxMessage.objects.get(type="trips.ReserveSeat")
    assert reverse("admin:whizbang_inboxmessage_change", args=[row.pk]) in page
    assert "trips.ReserveSeat" in page and "whizbang.SagaReacted reserved()" in page
    assert url("trace", trip) in page
    hidden = user_with("view_stream").get(url("event", event.version, stream=event.stream)).text
    assert "trips.ReserveSeat" in hidden and "/inboxmessage/" not in hidden


def test_stored_form_stands_beside_what_it_is_read_as(order: str) -> None:
    with rewriting(reason="an old schema"):
        event = stored(version=1)
        data = {k: v for k, v in event.payload.items() if k != "currency"}
        StoredEvent.objects.filter(pk=event.pk).update(payload=data, schema=1)
    page = user_with("view_stream", "view_personal_data").get(url("event", 1, stream=order)).text
    assert "Data as stored" in page and "Read today as shop.OrderOpened" in page
    assert page.count("USD") == 1


def test_event_of_a_renamed_type_and_one_whose_type_is_gone_are_shown(order: str) -> None:
    whizbang.event_store().append(order, [OrderGone(order_id="1")])
    with rewriting(reason="a class that is gone"):
        StoredEvent.objects.filter(version=2).update(type=EVIL)
    page = user_with("view_stream").get(url("event", 2, stream=order)).text
    assert EVIL not in page and escape(EVIL) in page
    assert "code cannot read it" in page
    assert "hello" not in page and "•••" in page and "Personal fields are masked" in page
    assert (
        "hello"
        in user_with("view_stream", "view_personal_data").get(url("event", 2, stream=order)).text
    )


def test_ten_megabytes_are_cut_on_the_page_and_whole_in_the_download(settings: Any) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "MAX_PAYLOAD_BYTES": 20_000_000}
    text = "<b>" + "x" * 10_000_000 + "the very end"
    whizbang.event_store().append(STREAM, [OrderNoted(order_id="1", text=text)])
    client = user_with("view_stream")
    page = client.get(url("event", 1, stream=STREAM))
    assert len(page.content) < 2 * event_module.MOST_SHOWN
    assert "There is more" in page.text and "the very end" not in page.text
    assert client.get(url("timeline", stream=STREAM)).status_code == 200
    file = client.get(url("download", 1, stream=STREAM))
    assert json.loads(file.content)["data"]["text"] == text


def test_download_is_json_with_a_harmless_name(order: str) -> None:
    name = f"shop.Order-../..\n{EVIL}"
    whizbang.event_store().append(name, [OrderNoted(order_id="1", text=EVIL)])
    answer = user_with("view_stream").get(url("download", 1, stream=name))
    position = stored(stream=name).position
    assert answer["Content-Type"] == "application/json"
    assert answer["Content-Disposition"] == f'attachment; filename="event-{position}.json"'
    found = json.loads(answer.content)
    assert (found["stream"], found["data"]["text"]) == (name, EVIL)
    assert found["metadata"]["message_id"]


@pytest.mark.parametrize("page", ["event", "download", "state"])
@pytest.mark.parametrize("version", [0, 9, 2**31, 2**70])
def test_version_that_is_not_there_is_not_found(order: str, page: str, version: int) -> None:
    assert user_with("view_stream").get(url(page, version, stream=order)).status_code == 404


# Correlation


def test_correlation_is_drawn_and_told_as_a_table(trip: str) -> None:
    client = user_with("view_stream", "view_inboxmessage")
    page = client.get(url("trace", trip))
    assert '<svg xmlns="http://www.w3.org/2000/svg"' in page.text and " style=" not in page.text
    event = stored(type="trips.SeatReserved")
    assert page.text.count(f'href="{url("event", event.version, stream=event.stream)}"') == 2
    assert len(page.context["nodes"]) == len(page.context["trace"].nodes)
    assert "Columns by stream" in client.get(url("trace", trip), {"by": "service"}).text
    assert client.get(url("trace", trip), {"by": "x"}).status_code == 404
    assert "No event of it is known here" in client.get(url("trace", uuid4())).text


def test_texts_in_a_correlation_are_escaped(trip: str) -> None:
    with rewriting(reason="evil"):
        StoredEvent.objects.filter(type="trips.SeatReserved").update(
            type=EVIL, stream=f"trips.Told-{EVIL}"
        )
    DeadLetter.objects.create(
        message_id=InboxMessage.objects.get(type="trips.ReserveSeat").message_id,
        type=EVIL,
        payload=b"{}",
        metadata=b"{}",
        occurred_at=stored(version=1).occurred_at,
        reason=EVIL,
        error=EVIL,
        attempts=1,
    )
    page = user_with("view_stream", "view_deadletter").get(url("trace", trip)).text
    assert EVIL not in page and page.count(escape(EVIL)) > 3
    assert f"dead: {escape(EVIL)}" in page
    assert f"dead: {escape(EVIL)}" not in user_with("view_stream").get(url("trace", trip)).text


def test_lagging_index_is_told(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from whizbang.operations.events import finding, trace

    for module in (finding, trace):
        monkeypatch.setattr(module, "MOST_UNINDEXED", 0)
    whizbang.event_store().append(order, [OrderNoted(order_id="1", text="new")])
    client = user_with("view_stream")
    assert "lags behind" in client.get(url("search"), {"type": "shop.OrderNoted"}).text
    correlation = ids_of(stored(version=1))[1]
    assert "lags behind" in client.get(url("trace", correlation)).text
    assert EventEntry.objects.count() == 2


# State


def test_state_is_stepped_through_version_by_version(order: str) -> None:
    client = user_with("view_stream")
    first = client.get(url("state", 1, stream=order))
    assert [text for text, _ in first.context["steps"]] == ["Next version", "Last version"]
    second = client.get(first.context["steps"][0][1])
    assert [text for text, _ in second.context["steps"]] == ["First version", "Version before"]
    assert any(field.is_changed for field in first.context["fields"])
    assert url("event", 2, stream=order) in second.text
    assert url("state", 2, stream=order) in client.get(url("timeline", stream=order)).text


def test_fold_that_fails_is_told_in_words(order: str) -> None:
    with rewriting(reason="a class that is gone"):
        StoredEvent.objects.filter(version=2).update(type=EVIL)
    page = user_with("view_stream").get(url("state", 2, stream=order)).text
    assert "cannot be applied" in page and "This is the state before it" in page
    assert EVIL not in page
    whizbang.event_store().append(order, [OrderNoted(order_id="1", text="later")])
    page = user_with("view_stream").get(url("state", 3, stream=order)).text
    assert "Version 2 of shop.Order-1" in page


def test_stream_of_no_known_aggregate_has_no_state() -> None:
    whizbang.event_store().append("shop.Other-1", [OrderNoted(order_id="1", text="a")])
    client = user_with("view_stream")
    assert "No aggregate class" in client.get(url("state", 1, stream="shop.Other-1")).text
    assert "/state/" not in client.get(url("timeline", stream="shop.Other-1")).text


def test_travelling_by_date(order: str) -> None:
    client, place = user_with("view_stream"), url("travel", stream=order)
    first = stored(version=1)
    with rewriting(reason="a day before"):
        StoredEvent.objects.filter(pk=first.pk).update(
            recorded_at=first.recorded_at - timedelta(days=2)
        )
    day_before = f"{first.recorded_at - timedelta(days=1):%Y-%m-%dT%H:%M}"
    answer = client.get(place, {"at": day_before, "by": "recorded"})
    assert answer["Location"] == url("state", 1, stream=order)
    answer = client.get(place, {"at": day_before, "by": "occurred"}, follow=True)
    assert "Nothing had happened by then" in answer.text
    for wrong in ({}, {"at": "x", "by": "recorded"}, {"at": day_before, "by": "x"}):
        assert "Give a date and time" in client.get(place, wrong, follow=True).text
    assert client.get(url("travel", stream="shop.Order-none")).status_code == 404


# Personal data


def test_personal_fields_are_masked_everywhere_without_the_permission(reader: str) -> None:
    drain()
    clerk, boss = user_with("view_stream"), user_with("view_stream", "view_personal_data")
    for page in ("event", "download", "state"):
        place = url(page, 1, stream=reader)
        hidden, shown = clerk.get(place).content.decode(), boss.get(place).content.decode()
        assert "secret" not in hidden and "•••" in hidden and "daily" in hidden
        assert "secret" in shown
    place = url("timeline", stream=reader)
    assert "secret" not in clerk.get(place).text and "secret" in boss.get(place).text


def test_state_shows_the_difference_of_masked_fields(reader: str) -> None:
    fields = user_with("view_stream").get(url("state", 1, stream=reader)).context["fields"]
    mail = next(field for field in fields if field.name == "mail")
    assert (mail.after, mail.is_changed) == ('"•••"', True)
