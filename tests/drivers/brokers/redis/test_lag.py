"""Whoever is so far behind that a stream is trimmed before it is told of."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.drivers.brokers.redis.cases import (
    SHOP,
    MakeBroker,
    drain,
    event,
)
from whizbang.drivers.brokers.base import Topology

pytestmark = pytest.mark.requires_redis


class TestLagWatch:
    @pytest.mark.parametrize(
        ("count", "level", "fate"), [(850, "WARNING", "soon loses"), (1100, "ERROR", "loses")]
    )
    def test_publisher_warns_when_a_service_is_too_far_behind(
        self,
        make_broker: MakeBroker,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        count: int,
        level: str,
        fate: str,
    ) -> None:
        monkeypatch.setattr("whizbang.drivers.brokers.redis.lag._CHECK_SECONDS", 0.0)
        shop = make_broker(SHOP, max_length=1000)
        shop.publish([event(n) for n in range(count)])
        assert not caplog.records

        shop.publish([event(count)])
        shop.publish([event(count + 1)])

        [record] = caplog.records
        assert record.levelname == level
        assert f"is behind and {fate} messages" in record.getMessage()
        assert f"service=billing stream={shop._key('events', 'orders')} " in record.getMessage()

    def test_receiver_warns_too_and_nobody_when_it_keeps_up(
        self, make_broker: MakeBroker, caplog: pytest.LogCaptureFixture, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("whizbang.drivers.brokers.redis.lag._CHECK_SECONDS", 0.0)
        billing = make_broker(max_length=1000)
        shop = make_broker(Topology(service="shop", owns=["orders"], listens_to=[]))
        shop.publish([event(n) for n in range(900)])
        billing.receive(limit=200, timeout_seconds=1)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        drain(billing)
        caplog.clear()

        drain(make_broker(max_length=1000))
        shop.publish([event(1)])

        assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
