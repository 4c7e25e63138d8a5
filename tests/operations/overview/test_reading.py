"""The overview: figures, history, and the verdict."""

from __future__ import annotations

import pytest

import whizbang
from tests.shop.messages import OrderNoted
from whizbang.operations.overview.overview import read_overview

pytestmark = pytest.mark.django_db


def test_smoke() -> None:
    whizbang.event_store().append("shop.Order-1", [OrderNoted(order_id="1", text="a")])
    print(read_overview())
