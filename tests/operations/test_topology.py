"""The map of services tells who owns, handles and hears what, and what nobody does."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.management import CommandError, call_command
from django.test import override_settings

from projects.example.process import CHOREOGRAPHY, SAGA
from tests.example.styles import process_of
from whizbang import Command, Context, Event, handles, owned_by, subscribes
from whizbang.operations.topology import ServiceMap, map_services
from whizbang.operations.topology_svg import draw_topology

SVG = "{http://www.w3.org/2000/svg}"
# As the example's choreography needs it: its saga needs the first line alone.
LISTENS_TO = {
    "orders": ["inventory", "payments", "shipping"],
    "inventory": ["orders"],
    "payments": ["orders", "inventory"],
    "shipping": ["orders"],
}
SECRET = "amqp://guest:secret@rabbit"


def settings_of(service: str, **more: Any) -> dict[str, Any]:
    """As the example has them for one of its four services."""
    others = {n: {"OWNS": [n], "LISTENS_TO": [*to]} for n, to in LISTENS_TO.items() if n != service}
    backend = "whizbang.drivers.brokers.rabbitmq.RabbitMQBroker"
    broker = {"BACKEND": backend, "OPTIONS": {"url": SECRET}}
    known = {"SERVICE": service, "OWNS": [service], "SERVICES": others}
    return {**known, "BROKERS": {"default": broker}, **more}


@pytest.fixture
def orders() -> Iterator[ServiceMap]:
    with override_settings(WHIZBANG=settings_of("orders")):
        yield map_services()


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("whizbang", "topology", *arguments, stdout=out)
    return out.getvalue()


def kinds(found: ServiceMap) -> dict[str, str]:
    """Of the domain that a test declares; the suite's other domains have owners of their own."""
    return {w.subject: w.kind for w in found.warnings if w.subject.startswith("toys")}


def test_services_of_the_example(orders: ServiceMap) -> None:
    assert [(s.name, s.is_here, s.owns) for s in orders.services] == [
        ("orders", True, ("orders",)),
        ("inventory", False, ("inventory",)),
        ("payments", False, ("payments",)),
        ("shipping", False, ("shipping",)),
    ]
    listens_to = {service.name: list(service.listens_to) for service in orders.services}
    assert listens_to == {name: sorted(domains) for name, domains in LISTENS_TO.items()}


def test_commands_of_the_example(orders: ServiceMap) -> None:
    commands = {command.type: command for command in orders.commands}

    here = commands["orders.CancelOrder"]
    assert (here.owner, here.queue) == ("orders", None)
    assert here.handler == "projects.example.orders.handlers.cancel_order"
    assert here.requires == ("orders.cancel_order",)
    there = commands["payments.ChargePayment"]
    assert (there.owner, there.handler, there.queue) == ("payments", None, "payments")


def test_events_of_the_example(orders: ServiceMap) -> None:
    events = {event.type: event for event in orders.events}

    placed = events["orders.OrderPlaced"]
    assert (placed.owner, placed.topic) == ("orders", "orders")
    assert [(h.name, h.kind, h.delivery) for h in placed.hearers] == [
        ("orders.Customers", "projection", "async"),
        ("orders.OrderProgress", "projection", "async"),
        ("orders.SalesByDay", "projection", "async"),
        ("orders.OrderFulfillment", "saga", "async"),
    ]
    assert placed.services == ("inventory", "payments", "shipping")
    reserved = events["inventory.InventoryReserved"]
    assert (reserved.owner, reserved.topic, reserved.services) == (
        "inventory",
        "inventory",
        ("payments",),
    )


@pytest.mark.django_db
def test_subscribers_are_told_where_they_are_active() -> None:
    with process_of(CHOREOGRAPHY), override_settings(WHIZBANG=settings_of("payments")):
        found = {event.type: event.hearers for event in map_services().events}
    names = {hearer.name for hearers in found.values() for hearer in hearers}
    assert names == {"payments.charge_what_was_reserved", "payments.refund_what_was_cancelled"}


@pytest.mark.django_db
@pytest.mark.parametrize("service", LISTENS_TO)
@pytest.mark.parametrize("process", [SAGA, CHOREOGRAPHY])
def test_nothing_is_lost_in_the_example(service: str, process: str) -> None:
    with process_of(process), override_settings(WHIZBANG=settings_of(service)):
        found = [w for w in map_services().warnings if w.subject.split(".")[0] in LISTENS_TO]
        ids = {message.id for message in checks.run_checks(tags=["whizbang"])}
    assert found == []
    assert "whizbang.W008" not in ids


def test_monolith_owns_all_and_publishes_nothing() -> None:
    found = map_services()

    assert [service.name for service in found.services] == ["default"]
    assert {command.queue for command in found.commands} == {None}
    assert {event.topic for event in found.events} == {None}


@pytest.fixture
def toys(isolated_registry: None) -> type[Event]:
    @owned_by("toys")
    class BuildToy(Command[None]):
        pass

    @owned_by("toys")
    class ToyBuilt(Event):
        pass

    return ToyBuilt


@pytest.mark.usefixtures("toys")
def test_command_without_owner_and_without_handler() -> None:
    with override_settings(WHIZBANG=settings_of("orders")):
        assert kinds(map_services()) == {"toys.BuildToy": "unowned command"}
    with override_settings(WHIZBANG=settings_of("orders", OWNS=["orders", "toys"])):
        assert kinds(map_services())["toys.BuildToy"] == "no handler"


def test_event_that_nobody_hears(toys: type[Event]) -> None:
    @handles(_command_of("BuildToy"))
    def build(command: Any, context: Context) -> None:
        pass

    values = settings_of("orders", OWNS=["orders", "toys", "tests"])
    with override_settings(WHIZBANG=values):
        assert kinds(map_services()) == {"toys.ToyBuilt": "unheard event"}
        subscribes(toys)(build)
        assert kinds(map_services()) == {}


@pytest.mark.usefixtures("toys")
def test_event_that_another_service_listens_to_is_heard() -> None:
    values = settings_of("orders", OWNS=["orders", "toys"])
    values["SERVICES"]["payments"]["LISTENS_TO"].append("toys")
    with override_settings(WHIZBANG=values):
        assert "toys.ToyBuilt" not in kinds(map_services())


def test_base_of_other_events_need_not_be_heard(toys: type[Event]) -> None:
    class SpecialToyBuilt(toys):  # type: ignore[misc,valid-type]
        pass

    owned_by("toys")(SpecialToyBuilt)
    with override_settings(WHIZBANG={"OWNS": ["toys"]}):
        found = kinds(map_services())
    assert found == {"toys.BuildToy": "no handler", "toys.SpecialToyBuilt": "unheard event"}


def test_event_of_a_domain_without_owner_is_a_warning_of_the_check_too(toys: type[Event]) -> None:
    @subscribes(toys, name="orders.play")
    def play(event: Any, context: Context) -> None:
        pass

    with override_settings(WHIZBANG=settings_of("orders", OWNS=["orders", "tests"])):
        (warning,) = [w for w in map_services().warnings if w.kind == "unowned domain"]
        found = [m for m in checks.run_checks(tags=["whizbang"]) if m.id == "whizbang.W008"]
    assert warning.text == "orders.play wants events of 'toys', which no service owns."
    assert ["'toys'" in message.msg for message in found] == [True]
    with override_settings(WHIZBANG={"OWNS": ["orders", "tests"]}):  # no services: said nowhere
        ids = {message.id for message in checks.run_checks(tags=["whizbang"])}
    assert "whizbang.W008" not in ids


def _command_of(name: str) -> Any:
    from whizbang.messages.types import type_named

    return type_named(f"toys.{name}")


@pytest.mark.usefixtures("toys")
@override_settings(WHIZBANG=settings_of("orders"))
def test_verb_prints_within_a_hundred_columns_and_without_options() -> None:
    printed = run()

    assert max(map(len, printed.splitlines())) <= 100
    assert "service orders (this one) owns orders; listens to inventory, payments" in printed
    assert "  payments.ChargePayment\n    to the queue of payments\n" in printed
    assert "broker default: whizbang.drivers.brokers.rabbitmq.RabbitMQBroker" in printed
    assert "warning: No service owns 'toys': toys.BuildToy cannot be sent." in printed
    assert "secret" not in printed + run("--json") + draw_topology(map_services())


@override_settings(WHIZBANG=settings_of("orders"))
def test_verb_as_json() -> None:
    found = json.loads(run("--json"))
    assert found["service"] == "orders"
    assert {"type", "domain", "owner", "handler", "queue", "requires"} == set(found["commands"][0])


@pytest.mark.usefixtures("toys")
@override_settings(WHIZBANG=settings_of("orders"))
def test_check_ends_with_an_error_when_it_warns() -> None:
    with pytest.raises(CommandError, match="warning"):
        run("--check")


def test_svg_of_the_example(orders: ServiceMap, tmp_path: Path) -> None:
    file = tmp_path / "map.svg"
    with override_settings(WHIZBANG=settings_of("orders")):
        run("--svg", str(file))
    root = ElementTree.fromstring(file.read_text())

    assert root.get("role") == "img"
    labels = (root.get("aria-labelledby") or "").split()
    title, desc = (root.find(f"{SVG}{name}") for name in ("title", "desc"))
    assert title is not None and desc is not None
    assert labels == [title.get("id"), desc.get("id")]
    assert "payments owns payments and listens to inventory, orders." in (desc.text or "")
    boxes = [e.get("class") for e in root.iter(f"{SVG}rect")]
    assert boxes.count("service") + boxes.count("service here") == 4
    assert boxes.count("topic") == 4
    texts = {element.text for element in root.iter(f"{SVG}text")}
    assert {"orders (this service)", "queue of shipping", "commands known here: 2"} <= texts


def test_svg_has_no_styles_and_no_scripts(orders: ServiceMap) -> None:
    root = ElementTree.fromstring(draw_topology(orders))
    for element in root.iter():
        assert element.tag.removeprefix(SVG) not in ("style", "script", "foreignObject")
        assert not [name for name in element.attrib if name == "style" or name.startswith("on")]


def test_svg_shows_any_name_as_text() -> None:
    nasty = '</text><script>alert(1)</script>&"\x00\x1b\ufffe'
    values = settings_of("orders", OWNS=["orders", nasty])
    values["SERVICES"][nasty * 2] = {"OWNS": ["x" * 200 + "<b>"], "LISTENS_TO": [nasty]}
    with override_settings(WHIZBANG=values):
        root = ElementTree.fromstring(draw_topology(map_services()))

    assert not list(root.iter(f"{SVG}script"))
    shown = nasty.replace("\x00", "\ufffd").replace("\x1b", "\ufffd").replace("\ufffe", "\ufffd")
    texts = {element.text for element in root.iter()}
    assert {shown * 2, "x" * 200 + "<b>"} <= texts  # cut in the picture, whole in its tooltip


def test_svg_of_twenty_services_overlaps_nowhere() -> None:
    others = {f"service{n:02}": {"OWNS": [f"d{n}", f"e{n}"]} for n in range(19)}
    with override_settings(WHIZBANG={"SERVICE": "orders", "OWNS": ["orders"], "SERVICES": others}):
        root = ElementTree.fromstring(draw_topology(map_services()))

    boxes = [e for e in root.iter(f"{SVG}rect") if (e.get("class") or "").startswith("service")]
    places = sorted((float(e.get("y", 0)), float(e.get("height", 0))) for e in boxes)
    assert len(places) == 20
    for (top, height), (below, _) in zip(places, places[1:], strict=False):
        assert top + height < below
    assert sum(places[-1]) < float(root.get("height", 0))
