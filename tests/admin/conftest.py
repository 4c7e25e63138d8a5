"""A stream with an event that one projection cannot apply."""

from __future__ import annotations

import pytest

import whizbang
from tests.admin.clients import EVIL
from tests.shop.messages import OrderNoted
from whizbang.testing import drain


@pytest.fixture
def stream(db: None) -> str:
    name = "shop.Order-1"
    events = [OrderNoted(order_id="1", text=text) for text in (EVIL, "poison")]
    whizbang.event_store().append(name, events)
    drain()
    return name
