"""The document of a service's messages, and the verb that writes and compares it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, time
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from whizbang import Command, Event, Query, Value, WhizbangError, named, owned_by, upcasts
from whizbang.operations.schemas import describe_schemas, read_schemas

ROOT = Path(__file__).resolve().parents[2]


class Part(Value):
    made_at: datetime
    tested_at: Annotated[datetime, msgspec.Meta(tz=True)]
    opens: time | None = None
    colors: frozenset[str] = frozenset({"red", "green", "blue", "black"})


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("whizbang", "schemas", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def toys(isolated_registry: None) -> Any:
    """Messages of a domain that nothing else in the suite has."""

    @owned_by("toys")
    class MakeToy(Command[list[Part]]):
        name: str

    @owned_by("toys")
    class FindToy(Query[Part | None]):
        name: str

    @owned_by("toys")
    @named("Made", aliases=["ToyBuilt"])
    class ToyMade(Event):
        parts: list[Part]

    @upcasts(ToyMade, from_version=1)
    def add_parts(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "parts": []}

    return ToyMade


@pytest.mark.usefixtures("toys")
def test_document_has_messages_with_kind_version_aliases_and_answer() -> None:
    document = json.loads(run("--domain", "toys"))

    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert {name: m["kind"] for name, m in document["messages"].items()} == {
        "toys.FindToy": "query",
        "toys.Made": "event",
        "toys.MakeToy": "command",
    }
    made = document["messages"]["toys.Made"]
    assert (made["version"], made["aliases"], made["domain"]) == (2, ["toys.ToyBuilt"], "toys")
    part = {"$ref": "#/$defs/Part"}
    assert document["messages"]["toys.MakeToy"]["result"] == {"type": "array", "items": part}
    assert part in document["messages"]["toys.FindToy"]["result"]["anyOf"]
    assert sorted(document["$defs"]) == ["FindToy", "MakeToy", "Part", "ToyMade"]
    assert document["$defs"]["MakeToy"]["additionalProperties"] is False


@pytest.mark.usefixtures("toys")
def test_dates_and_times_are_no_plain_texts() -> None:
    fields = describe_schemas(domain="toys").defs["Part"]["properties"]

    assert fields["made_at"]["format"] == "any-date-time"
    assert fields["tested_at"]["format"] == "date-time"
    assert fields["opens"]["anyOf"][0]["format"] == "any-time"
    assert fields["colors"]["default"] == ["black", "blue", "green", "red"]


@override_settings(WHIZBANG={"SERVICE": "shop", "OWNS": ["orders"]})
def test_only_owned_domains_are_described() -> None:
    domains = {message.domain for message in describe_schemas().messages.values()}
    assert domains == {"orders"}
    with pytest.raises(CommandError, match="'shop' owns no message of domain 'payments'"):
        run("--domain", "payments")


def test_message_without_a_schema_is_named(isolated_registry: None) -> None:
    class Unknown:
        pass

    @owned_by("toys")
    class AskToy(Command[Unknown]):
        name: str

    with pytest.raises(WhizbangError, match=r"The result of toys\.AskToy has no JSON Schema"):
        describe_schemas(domain="toys")


def test_document_is_the_same_in_every_process(tmp_path: Path) -> None:
    written = set()
    for seed in ("1", "2"):
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "projects.example.settings",
            "EXAMPLE_VAR": str(tmp_path),
            "EXAMPLE_SERVICE": "orders",
            "PYTHONHASHSEED": seed,
        }
        command = [sys.executable, "manage.py", "whizbang", "schemas"]
        written.add(subprocess.check_output(command, cwd=ROOT, env=environment, text=True))

    (document,) = written
    assert list(json.loads(document)["messages"]) == [
        "orders.CancelOrder",
        "orders.ConfirmOrder",
        "orders.GetOrder",
        "orders.GiveUpOrder",
        "orders.OrderCancelled",
        "orders.OrderConfirmed",
        "orders.OrderPlaced",
        "orders.PlaceOrder",
    ]


@pytest.mark.usefixtures("toys")
def test_comparison_without_breaks_ends_well(tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    run("--output", str(file))

    assert run("--compare", str(file)) == "Nothing breaks others.\n"
    assert json.loads(run("--compare", str(file), "--json")) == []


def test_comparison_tells_breaks_and_ends_with_an_error(toys: Any, tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    run("--output", str(file), "--domain", "toys")
    document = read_schemas(file)
    document.defs["ToyMade"]["properties"]["maker"] = {"type": "string"}
    file.write_text(document.encode())

    out = StringIO()
    with pytest.raises(CommandError, match="1 change breaks others"):
        call_command("whizbang", "schemas", "--compare", str(file), stdout=out)
    assert "toys.Made maker is gone: readers see its default (breaks its consumers)" in (
        out.getvalue()
    )
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("whizbang", "schemas", "--compare", str(file), "--json", stdout=out)
    assert json.loads(out.getvalue())[0]["where"] == "maker"


@pytest.mark.parametrize("content", [b"{}", b"no", b'{"messages": 3}'])
def test_other_file_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    file.write_bytes(content)
    with pytest.raises(CommandError, match="is not what"):
        run("--compare", str(file))


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        run("--compare", str(tmp_path / "nowhere.json"))
