"""A saga is drawn from its code: what it hears, sends and waits for, and what the code does not tell."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from tests.sagas.drawn import Drawn, Overriding
from tests.sagas.steering import SAGA, saga
from whizbang import WhizbangError
from whizbang.operations.sagas.diagram.drawing import draw_saga
from whizbang.operations.sagas.diagram.mermaid import draw_mermaid
from whizbang.operations.sagas.diagram.picture import MethodEntry, SagaPicture, picture_of
from whizbang.operations.sagas.diagram.reading import asked_by

SVG = "{http://www.w3.org/2000/svg}"


def read(method: str, cls: Any = Drawn) -> list[str]:
    """As kind and name; what is not known has a question mark."""
    asked = asked_by(cls, method)
    return [f"{a.kind}{'' if a.is_known else '?'} {a.name}".strip() for a in asked]


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("by_module", ["send trips.ReserveSeat"]),
        ("by_variable", ["send trips.ReserveSeat", "send trips.ReleaseSeat"]),
        ("by_keyword", ["send trips.ConfirmTrip", "timeout late"]),
        (
            "by_function",
            ["send trips.ChargeCard", "undo trips.RefundCard", "undo trips.ConfirmTrip"],
        ),
        ("by_import", ["send trips.RefundCard"]),
        ("by_super", ["send trips.ConfirmTrip"]),
        ("shared", ["send trips.ConfirmTrip", "complete"]),
        ("again_and_again", ["cancel late"]),
        ("nested", ["send trips.ConfirmTrip"]),
        ("otherwise_called", ["complete"]),
        ("quiet", []),
    ],
)
def test_what_a_method_asks_for(method: str, asked: list[str]) -> None:
    assert read(method) == asked


def test_helpers_are_followed_with_what_they_are_given() -> None:
    assert read("by_helper") == [
        "fail? because",
        "send trips.ConfirmTrip",
        "fail too late",
        "send trips.ReserveSeat",
    ]


def test_super_is_followed_from_where_it_stands() -> None:
    assert read("heard", Overriding) == ["send trips.ConfirmTrip", "complete"]


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("unknown_command", ["send? self.pending", "undo? *self.pending"]),
        (
            "unknown_names",
            ["timeout? f'late-{self.trip_id}'", "fail? f'not paid by {self.trip_id}'"],
        ),
        ("passed_on", ["other? tell(self)"]),
        ("verb_passed_on", ["other? self.send, called elsewhere"]),
        ("renamed", ["other? me = self"]),
        ("calls_what_is_no_function", ["other? made_elsewhere(), which cannot be read"]),
    ],
)
def test_what_the_code_does_not_tell_is_said(method: str, asked: list[str]) -> None:
    assert read(method) == asked


def test_method_without_source_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}
    exec("def quiet(self): self.complete()", made)
    monkeypatch.setattr(Drawn, "quiet", made["quiet"])
    assert read("quiet") == ["other? quiet(), which cannot be read"]


def entry(name: str) -> MethodEntry:
    return next(method for method in picture_of(SAGA).methods if method.name == name)


def test_picture_of_a_saga() -> None:
    first, last = entry("requested"), entry("unpaid")
    assert [(t.kind, t.name, t.is_start) for t in first.triggers] == [
        ("event", "trips.TripRequested", True)
    ]
    assert [item.text() for item in first.follows] == ["send trips.ReserveSeat", "wait for unpaid"]
    assert [(t.kind, t.name) for t in last.triggers] == [("timeout", "unpaid")]
    assert [item.text() for item in last.follows] == ["fail: not paid in time"]
    assert picture_of(SAGA).is_whole
    with pytest.raises(WhizbangError, match="No saga 'trips.Nothing'"):
        picture_of("trips.Nothing")


def test_other_services_are_named() -> None:
    services = {"trips": {"OWNS": ["trips"], "LISTENS_TO": []}}
    known = {"SERVICE": "desk", "OWNS": ["desk"], "SERVICES": services}
    with override_settings(WHIZBANG=known):
        first = entry("requested")
    assert first.triggers[0].service == "trips"
    assert first.follows[0].text() == "send trips.ReserveSeat → trips"


def unread() -> SagaPicture:
    """One with texts that would break out of a picture."""
    found = picture_of(SAGA)
    follows = replace(found.methods[0].follows[0], name='<script>"x" & `y` #z', is_known=False)
    return replace(found, methods=(replace(found.methods[0], follows=(follows,)),))


def elements(drawn: str, name: str) -> Iterator[ElementTree.Element]:
    return ElementTree.fromstring(drawn).iter(f"{SVG}{name}")


def test_svg_shows_all_of_it_without_styles_and_scripts() -> None:
    drawn = draw_saga(picture_of(SAGA))
    shown = [element.text for element in elements(drawn, "text")]
    for text in ("trips.TripRequested", "timeout unpaid", "undo by trips.RefundCard", "complete"):
        assert text in shown
    assert "style" not in drawn and "<script" not in drawn
    assert "On trips.TripConfirmed, confirmed() asks for: complete." in drawn


def test_svg_escapes_and_says_what_is_not_known() -> None:
    drawn = draw_saga(unread())
    assert "<script" not in drawn
    shown = [element.text for element in elements(drawn, "text")]
    assert 'send a command, <script>"x" & `y` #z' in shown
    assert "Dashed in red: the code would have to be run to know." in shown
    assert any("unknown" in (e.get("class") or "") for e in elements(drawn, "rect"))


def test_mermaid_shows_all_of_it_with_one_node_for_each_thing() -> None:
    lines = [line.strip() for line in draw_mermaid(picture_of(SAGA)).splitlines()]
    assert lines[0] == "flowchart LR"
    (timeout,) = [line for line in lines if line.endswith('{{"timeout unpaid"}}')]
    name = timeout.partition("{")[0]
    assert [line for line in lines if name in line][1:] == [
        f"method0 -. sets .-> {name}",
        f"method11 -. cancels .-> {name}",
        f"{name} --> method24",
    ]
    assert 'method0["requested()"]' in lines and "event1 -->|starts| method0" in lines
    assert any(line.endswith('("failed: no seat")') for line in lines)


def test_mermaid_escapes_and_says_what_is_not_known() -> None:
    drawn = draw_mermaid(unread())
    assert '>"send a command, #lt;script#gt;#quot;x#quot; #amp; #96;y#96; #35;z"]' in drawn


def test_command_line_draws(tmp_path: Path) -> None:
    assert saga("diagram", SAGA).startswith("flowchart LR\n")
    assert saga("diagram", SAGA, "--svg", str(tmp_path / "saga.svg")) == ""
    assert (tmp_path / "saga.svg").read_text().startswith("<svg")
    assert json.loads(saga("diagram", SAGA, "--json"))["saga"] == SAGA
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("whizbang", "saga", "diagram", SAGA, "--svg", str(tmp_path))
