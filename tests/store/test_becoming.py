"""Events of the past that are read as others, on every way the log is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

import whizbang
from tests.raw_events import append_raw
from tests.shop.messages import NOON
from whizbang import Aggregate, Context, Event, Projection, applies, on, retire, subscribes, upcasts
from whizbang.checks import check_messages
from whizbang.models import ParkedStream
from whizbang.operations.verify_history import verify_history
from whizbang.store.event_store import event_store
from whizbang.testing import drain

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("isolated_registry")]
STREAM = "shop.House-1"


def insert(version: int, type: str, schema: int = 1, **payload: Any) -> None:
    append_raw(STREAM, type, payload, version=version, schema=schema)


class Declared:
    """The messages, the aggregate and the readers of one test."""

    def __init__(self) -> None:
        @whizbang.named("shop.HousePainted")
        class HousePainted(Event):
            color: str

        @whizbang.named("shop.HouseMoved")
        class HouseMoved(Event):
            street: str
            city: str

        @upcasts(HouseMoved, from_version=1)
        def add_city(data: dict[str, Any]) -> dict[str, Any]:
            return {**data, "city": "Rome"}

        @upcasts("shop.HouseChanged", from_version=1)
        def rename(data: dict[str, Any]) -> dict[str, Any]:
            return {"color": data.get("colour"), "street": data.get("street")}

        @upcasts("shop.HouseChanged", from_version=2, into=[HousePainted, HouseMoved])
        def split(data: dict[str, Any]) -> Iterator[Any]:
            if data["color"]:
                yield HousePainted, {"color": data["color"]}
            if data["street"]:
                yield HouseMoved, {"street": data["street"]}, 1

        @upcasts("shop.HouseSprayed", into=HousePainted)
        def turn(data: dict[str, Any]) -> dict[str, Any]:
            return {"color": data["spray"]}

        retire("shop.HouseLookedAt")

        class House(Aggregate):
            category = "shop.House"
            color: str = ""
            place: str = ""
            changes: int = 0

            @applies(HousePainted)
            def _painted(self, event: Any) -> None:
                self.color, self.changes = event.color, self.changes + 1

            @applies(HouseMoved)
            def _moved(self, event: Any) -> None:
                self.place, self.changes = f"{event.street}, {event.city}", self.changes + 1

        seen: list[Any] = []
        heard: list[Any] = []

        class Colors(Projection):
            @on(HousePainted)
            def painted(self, event: Any, meta: Any) -> None:
                seen.append((meta.version, event.color))

            def clear(self) -> None:
                seen.clear()

        @subscribes(HouseMoved, backfill_from=whizbang.BEGINNING)
        def hear_moved(event: Any, context: Context) -> None:
            heard.append(event.street)

        self.painted, self.moved, self.house = HousePainted, HouseMoved, House
        self.projection = Colors
        self.seen, self.heard = seen, heard


@pytest.fixture
def declared() -> Declared:
    made = Declared()
    insert(1, "shop.HouseChanged", colour="red", street="Via Appia")
    insert(2, "shop.HouseLookedAt", who="Ada")
    insert(3, "shop.HouseChanged", schema=2, color=None, street=None)
    insert(4, "shop.HouseSprayed", spray="blue")
    insert(5, "shop.HouseChanged", schema=2, color=None, street="Corso")
    return made


def test_stream_and_log_give_the_parts_under_their_events_place(declared: Declared) -> None:
    store = event_store()
    for read in (list(store.read_stream(STREAM)), list(store.read_all())):
        assert [(r.meta.version, r.event) for r in read] == [
            (1, declared.painted(color="red")),
            (1, declared.moved(street="Via Appia", city="Rome")),
            (4, declared.painted(color="blue")),
            (5, declared.moved(street="Corso", city="Rome")),
        ]


def test_log_is_filtered_by_what_events_are_read_as(declared: Declared) -> None:
    store = event_store()
    moved = list(store.read_all(types=[declared.moved]))
    assert [r.event.street for r in moved] == ["Via Appia", "Corso"]
    by_name = list(store.read_all(types=["shop.HousePainted"]))
    assert [r.event.color for r in by_name] == ["red", "blue"]
    assert len(list(store.read_all(types=["shop.HouseChanged"]))) == 3


def test_aggregate_is_folded_from_the_parts(declared: Declared) -> None:
    store = event_store()
    loaded = [
        store.load(declared.house, "1"),
        store.load_many(declared.house, {STREAM: "1"})[STREAM],
        store.load(declared.house, "1", occurred_until=NOON),
    ]
    for house in loaded:
        assert (house.color, house.place, house.changes) == ("blue", "Corso, Rome", 4)
        assert house.version == 5
    assert whizbang.history(declared.house, "1").as_of(version=3).version == 3


def test_subscriptions_and_rebuild_hear_what_they_react_to(declared: Declared) -> None:
    drain()
    assert declared.seen == [(1, "red"), (4, "blue")]
    assert declared.heard == ["Via Appia", "Corso"]
    assert not ParkedStream.objects.exists()
    name = declared.projection().name
    call_command("whizbang", "rebuild", name, "--now", verbosity=0)
    assert declared.seen == [(1, "red"), (4, "blue")]


def test_console_shows_what_is_stored_and_what_it_is_read_as(
    declared: Declared, admin_client: Client
) -> None:
    insert(6, "shop.HouseBurnt")
    page = admin_client.get(reverse("admin:whizbang_stream_timeline", args=[STREAM])).text
    assert "shop.HouseSprayed" in page
    assert page.count("Read today as shop.HousePainted") == 2
    assert page.count("Read today as shop.HouseMoved") == 2
    assert (
        page.count("Today&#x27;s code leaves it out") + page.count("Today's code leaves it out")
        == 2
    )
    assert "HouseBurnt&#x27; (shop.House-1 v6" in page
    page = admin_client.get(reverse("admin:whizbang_stream_event", args=[1, STREAM])).text
    assert "Rome" in page


def test_verification_finds_nothing(declared: Declared) -> None:
    report = verify_history()
    assert (report.events, report.aggregates, report.findings) == (5, 1, [])


def test_split_that_fails_names_the_event(declared: Declared) -> None:
    insert(6, "shop.HouseSprayed", wrong="")
    with pytest.raises(
        whizbang.DecodeError, match=r"HouseSprayed.*House-1 v6, position \d+.*spray"
    ):
        list(event_store().read_stream(STREAM))


def test_schema_that_no_step_ends_in_a_type_is_unknown(declared: Declared) -> None:
    insert(6, "shop.HouseChanged", schema=3)
    with pytest.raises(whizbang.UnknownMessageType, match="schema 3"):
        list(event_store().read_stream(STREAM))


def test_type_whose_class_stays_can_be_split_too() -> None:
    @whizbang.named("shop.DoorOpened")
    class DoorOpened(Event):
        door: str

    @whizbang.named("shop.DoorMoved")
    class DoorMoved(Event):
        door: str
        way: str

    @upcasts(DoorMoved, from_version=1, into=[DoorOpened, DoorMoved])
    def by_content(data: dict[str, Any]) -> list[Any]:
        return [(DoorOpened, data)] if data["way"] == "open" else [(DoorMoved, data)]

    insert(1, "shop.DoorMoved", door="a", way="open")
    insert(2, "shop.DoorMoved", door="b", way="shut")
    insert(3, "shop.DoorMoved", schema=2, door="c", way="open")
    read = [r.event for r in event_store().read_stream(STREAM)]
    assert read[0] == DoorOpened(door="a")
    assert read[1:] == [DoorMoved(door="b", way="shut"), DoorMoved(door="c", way="open")]
    assert [r.event.door for r in event_store().read_all(types=[DoorOpened])] == ["a"]
    assert DoorMoved.__whizbang__.schema == 2


def test_part_that_was_not_announced_is_refused(declared: Declared) -> None:
    @upcasts("shop.HouseTorn", into=[declared.painted])
    def wrong(data: dict[str, Any]) -> list[Any]:
        return [(declared.moved, {})]

    insert(6, "shop.HouseTorn")
    with pytest.raises(whizbang.DecodeError, match="not in `into`"):
        list(event_store().read_stream(STREAM))


def test_gone_type_without_a_declaration_says_what_to_do() -> None:
    insert(1, "shop.HouseBurnt")
    with pytest.raises(whizbang.UnknownMessageType, match=r"HouseBurnt.*v1.*position.*retire"):
        list(event_store().read_stream(STREAM))


def test_names_need_their_domain() -> None:
    with pytest.raises(ValueError, match="stored name"):
        retire("HouseBurnt")
    with pytest.raises(ValueError, match="stored name"):
        upcasts("HouseBurnt", from_version=1)


def test_name_that_a_class_has_cannot_be_gone() -> None:
    retire("shop.OrderNoted", "shop.OrderSent")  # the second is an alias
    ids = [problem.id for problem in check_messages(None)]
    assert ids.count("whizbang.E013") == 2
