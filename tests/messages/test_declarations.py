"""Names, owners and versions of messages."""

from __future__ import annotations

import msgspec
import pytest

from tests.shop.messages import CallElsewhere, OpenOrder, OrderGone, OrderOpened
from whizbang import Command, UnknownMessageType
from whizbang.messages.types import type_named
from whizbang.store.codec import JSON, codec


def test_domain_is_the_apps_label_or_what_owned_by_says() -> None:
    assert OpenOrder.__whizbang__.type_name == "shop.OpenOrder"
    assert CallElsewhere.__whizbang__.type_name == "elsewhere.CallElsewhere"


def test_explicit_name_and_aliases_find_the_class() -> None:
    assert type_named("shop.OrderShipped") is OrderGone
    assert type_named("shop.OrderSent") is OrderGone
    with pytest.raises(UnknownMessageType, match=r"shop\.Nothing"):
        type_named("shop.Nothing")


def test_old_payload_is_upcast_to_the_current_schema() -> None:
    assert OrderOpened.__whizbang__.schema == 2
    old = b'{"order_id":"1","customer_id":"c","total":"1.50"}'
    assert codec(OrderOpened, JSON).decode(old, 1).currency == "USD"


def test_messages_are_frozen_and_keyword_only() -> None:
    command = OpenOrder(order_id="1")
    with pytest.raises(AttributeError):
        command.order_id = "2"  # type: ignore[misc]
    with pytest.raises(TypeError):
        OpenOrder("1")  # type: ignore[misc]
    with pytest.raises(TypeError, match="frozen"):

        class Loose(Command, frozen=False):  # type: ignore[misc]
            pass


def test_unknown_fields_are_refused_in_commands_and_ignored_in_events() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"order_id":"1","more":1}', type=OpenOrder)
    assert msgspec.json.decode(b'{"order_id":"1","more":1}', type=OrderGone).order_id == "1"
