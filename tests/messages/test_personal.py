"""Personal fields are found and masked, wherever in a message they are."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Annotated, Any, NamedTuple

import msgspec
import pytest

import whizbang
from whizbang import PERSONAL, Constraint, Event, Value
from whizbang.messages.personal import (
    MASK,
    has_personal_data,
    mask_as,
    mask_leaves,
    mask_payload,
    personal_paths,
)
from whizbang.messages.validation import validator


class Contact(Value):
    name: Annotated[str, PERSONAL]
    kind: str = "home"
    friends: list[Contact] = []


class Pair(NamedTuple):
    email: Annotated[str, PERSONAL]
    count: int


@dataclasses.dataclass
class Place:
    street: Annotated[str, PERSONAL]
    country: str = "DE"


class Card(msgspec.Struct, tag=True):
    number: Annotated[str, PERSONAL]
    brand: str


class Cash(msgspec.Struct, tag=True):
    brand: str


class Enrolled(Event, rename="camel"):
    order_id: str
    mail_address: Annotated[str, PERSONAL, Constraint(max_length=20)]
    born_on: Annotated[date, PERSONAL] | None = None
    contact: Contact | None = None
    contacts: list[Contact] = []
    by_name: dict[Annotated[str, PERSONAL], int] = {}
    notes: dict[str, Annotated[str, PERSONAL]] = {}
    pair: Pair = Pair("", 0)
    place: Place | None = None
    paid_by: Card | Cash | None = None
    whole: Annotated[Contact | None, PERSONAL] = None
    steps: tuple[int, Annotated[str, PERSONAL]] = (0, "")
    tags: Annotated[list[str], PERSONAL] | None = None


DOCUMENT: dict[str, Any] = {
    "orderId": "1",
    "mailAddress": "secret",
    "bornOn": "secret",
    "contact": {"name": "secret", "kind": "home", "friends": [{"name": "secret", "friends": []}]},
    "contacts": [{"name": "secret", "kind": "work"}],
    "byName": {"secret": 3},
    "notes": {"a": "secret"},
    "pair": ["secret", 2],
    "place": {"street": "secret", "country": "DE"},
    "paidBy": {"type": "Card", "number": "secret", "brand": "V"},
    "whole": {"name": "secret", "kind": "secret"},
    "steps": [1, "secret"],
    "tags": ["secret", "secret"],
}
TYPE = "tests.Enrolled"


def test_marker_is_public_and_combines_with_constraints() -> None:
    assert "PERSONAL" in whizbang.__all__
    with pytest.raises(whizbang.InvalidMessage, match="length <= 20"):
        validator(Enrolled).validate(Enrolled(order_id="1", mail_address="x" * 21))


def test_paths_name_every_personal_field() -> None:
    assert personal_paths(Enrolled) == [
        "bornOn",
        "byName{key}",
        "contact.name",
        "contacts[].name",
        "mailAddress",
        "notes{}",
        "paidBy.number",
        "pair.email",
        "place.street",
        "steps[]",
        "tags",
        "whole",
    ]
    assert has_personal_data(TYPE)
    assert not has_personal_data("shop.OrderNoted")
    assert has_personal_data("shop.Gone")


def test_personal_data_are_masked_and_nothing_else() -> None:
    masked = mask_payload(TYPE, DOCUMENT)
    assert "secret" not in str(masked)
    assert masked == {
        "orderId": "1",
        "mailAddress": MASK,
        "bornOn": MASK,
        "contact": {"name": MASK, "kind": "home", "friends": [{"name": MASK, "friends": []}]},
        "contacts": [{"name": MASK, "kind": "work"}],
        "byName": {f"{MASK} 1": 3},
        "notes": {"a": MASK},
        "pair": [MASK, 2],
        "place": {"street": MASK, "country": "DE"},
        "paidBy": {"type": "Card", "number": MASK, "brand": "V"},
        "whole": MASK,
        "steps": [1, MASK],
        "tags": MASK,
    }
    assert DOCUMENT["mailAddress"] == "secret"


def test_what_is_nothing_stays_nothing() -> None:
    assert mask_payload(TYPE, {"bornOn": None, "contact": None}) == {
        "bornOn": None,
        "contact": None,
    }


def test_cash_of_a_tagged_union_shows_what_a_card_would_hide() -> None:
    assert mask_as(Card | Cash, {"type": "Cash", "brand": "V"}) == {"type": "Cash", "brand": "V"}
    assert mask_as(Card | Cash, {"type": "Cheque", "brand": "V"}) == {"type": MASK, "brand": MASK}


@pytest.mark.parametrize(
    ("document", "masked"),
    [
        ({"orderId": "1", "email": "secret"}, {"orderId": "1", "email": MASK}),  # of an old schema
        ({"contacts": "secret"}, {"contacts": MASK}),
        ({"contacts": ["secret"]}, {"contacts": [MASK]}),
        ({"byName": ["secret"]}, {"byName": [MASK]}),
        ({"steps": [1, "secret", "secret"]}, {"steps": [1, MASK, MASK]}),
        (["secret"], [MASK]),
        ("secret", MASK),
    ],
)
def test_what_does_not_fit_the_type_is_masked(document: Any, masked: Any) -> None:
    assert mask_payload(TYPE, document) == masked


def test_all_leaves_of_an_unknown_type_are_masked() -> None:
    document = {"a": {"b": ["secret", 1, None, True]}, "c": "secret"}
    assert mask_payload("shop.Gone", document) == mask_leaves(document)
    assert mask_leaves(document) == {"a": {"b": [MASK, MASK, None, MASK]}, "c": MASK}


def test_type_without_personal_fields_is_shown_as_it_is() -> None:
    document = {"order_id": "1", "text": "hello"}
    assert mask_payload("shop.OrderNoted", document) == document


def test_payloads_inside_saga_steps_are_masked_by_their_own_types() -> None:
    def command(type: str) -> dict[str, object]:
        return {"type": type, "data": {"orderId": "1", "mailAddress": "secret"}}

    step = {
        "methods": ["placed"],
        "changes": {"mail": "secret"},
        "commands": [command(TYPE), command("shop.Gone")],
    }
    document = {"type": "shop.OrderPlaced", "stream": "shop.Order-1", "step": step}
    masked = mask_payload("whizbang.SagaReacted", document)
    assert "secret" not in str(masked)
    assert masked["stream"] == "shop.Order-1"
    assert masked["step"] == {
        "methods": ["placed"],
        "changes": {"mail": MASK},
        "commands": [
            {"type": TYPE, "data": {"orderId": "1", "mailAddress": MASK}},
            {"type": "shop.Gone", "data": {"orderId": MASK, "mailAddress": MASK}},
        ],
    }
