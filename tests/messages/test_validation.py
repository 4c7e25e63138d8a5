"""What no message may carry, on any database."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.shop.messages import Color, EveryKind, Line, NoteOrder, OpenOrder
from whizbang import InvalidMessage
from whizbang.messages.validation import validator
from whizbang.store.codec import JSON, MSGPACK, codec

FULL: dict[str, Any] = {
    "amount": Decimal("10.500"),
    "key": UUID(int=7),
    "at": datetime(2024, 2, 29, 1, 2, 3, 456789, tzinfo=UTC),
    "day": date(1997, 1, 1),
    "color": Color.BLUE,
    "lines": [Line(sku="x", quantity=2, amount=Decimal("0.00"))],
    "ratio": 0.1,
    "count": -(2**63),
    "raw": b"\x00\xff",
    "names": {"ä": 1},
}


def validate(message: Any) -> Any:
    return validator(type(message)).validate(message)[0]


@pytest.mark.parametrize("serializer", [JSON, MSGPACK])
def test_every_kind_of_value_goes_round_exactly(serializer: Any) -> None:
    message = EveryKind(**FULL)
    found = codec(EveryKind, serializer).decode(serializer.encode(message), 1)
    assert found == message
    assert str(found.amount) == "10.500"
    assert str(found.lines[0].amount) == "0.00"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (OpenOrder(order_id=3), "Expected `str`"),  # type: ignore[arg-type]
        (
            OpenOrder(order_id="1", lines=[Line(sku="a", quantity=-1, amount=Decimal(1))]),
            "lines[0].quantity",
        ),
        (OpenOrder(order_id="1", customer_id="nobody"), "needs a customer"),
        (NoteOrder(order_id="1", text="a\0b"), "NUL"),
        (NoteOrder(order_id="1", text="\ud800"), "surrogate"),
        (NoteOrder(order_id="1", text="x" * 10_000_000), "MAX_PAYLOAD_BYTES"),
        (EveryKind(**{**FULL, "ratio": float("nan")}), "finite"),
        (EveryKind(**{**FULL, "ratio": float("inf")}), "finite"),
        (EveryKind(**{**FULL, "amount": Decimal("NaN")}), "finite"),
        (EveryKind(**{**FULL, "amount": Decimal("-Infinity")}), "finite"),
        (EveryKind(**{**FULL, "at": datetime(2024, 1, 1)}), "time zone"),
        (EveryKind(**{**FULL, "count": 2**64}), "64 bit"),
        (EveryKind(**{**FULL, "names": {"a\0": 1}}), "NUL"),
    ],
)
def test_bad_content_is_refused_with_its_reason(message: Any, reason: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        validate(message)
    assert reason in str(caught.value)


def test_text_that_only_looks_like_nul_is_fine() -> None:
    message = NoteOrder(order_id="1", text="a literal \\u0000 with a backslash")
    assert validate(message) == message


def test_long_digits_in_a_text_or_decimal_are_fine() -> None:
    message = NoteOrder(order_id="1", text="9" * 40)
    assert validate(message) == message
