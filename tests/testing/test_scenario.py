"""Scenario: an aggregate's test without a database."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.shop.aggregates import Order, OrderOpenAlready
from tests.shop.messages import OpenOrder, OrderOpened
from whizbang.testing import Scenario

OPENED = OrderOpened(order_id="1", customer_id="c1", total=Decimal(0), currency="EUR")


def test_command_records_what_is_expected() -> None:
    Scenario(Order, "1").given().when(OpenOrder(order_id="1")).then(OPENED)


def test_refusal_is_expected() -> None:
    Scenario(Order, "1").given(OPENED).when(OpenOrder(order_id="1")).raises(OrderOpenAlready)


def test_call_works_like_a_command() -> None:
    Scenario(Order, "1").when(lambda order: order.open("c1", [])).then(OPENED)


def test_wrong_expectation_fails() -> None:
    with pytest.raises(AssertionError):
        Scenario(Order, "1").when(OpenOrder(order_id="1")).then()
    with pytest.raises(AssertionError):
        Scenario(Order, "1").when(OpenOrder(order_id="1")).raises(OrderOpenAlready)
