"""Nothing passes what was published before it, whatever fails."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from tests.drivers.brokers.proxy import Proxy
from tests.drivers.brokers.redis.cases import (
    SHOP,
    MakeBroker,
    command,
    drain,
    event,
    through,
)
from tests.drivers.brokers.redis.receiver_process import positions_of
from tests.drivers.brokers.redis.server import redis_server
from whizbang.drivers.brokers.base import (
    BrokerUnavailable,
    Kind,
)
from whizbang.drivers.brokers.redis import RedisBroker

pytestmark = pytest.mark.requires_redis


class TestOrder:
    def test_order_holds_over_many_publishes(self, make_broker: MakeBroker) -> None:
        shop, billing = make_broker(SHOP), make_broker()
        for start in range(0, 6000, 1200):
            assert (
                len(shop.publish([event(n) for n in range(start, start + 1200)]).confirmed) == 1200
            )

        assert positions_of(drain(billing, limit=700)) == list(range(6000))

    def test_busy_stream_does_not_starve_another(self, make_broker: MakeBroker) -> None:
        shop, billing = make_broker(SHOP), make_broker()
        shop.publish([command("billing") for _ in range(50)] + [event(1)])

        first_two = [billing.receive(limit=10, timeout_seconds=1) for _ in range(2)]

        kinds = {d.message.kind for batch in first_two for d in batch if d.message}
        assert kinds == {Kind.COMMAND, Kind.EVENT}

    def test_nothing_behind_a_failure_is_stored(
        self, make_broker: MakeBroker, client: redis.Redis, prefix: str
    ) -> None:
        """A stream that has one id left takes one more."""
        stream = f"{prefix}:events:orders"
        client.xadd(stream, {"a": "b"}, id="18446744073709551615-18446744073709551614")
        messages = [event(1), event(2), command("billing"), event(3)]

        published = make_broker(SHOP).publish(messages)

        assert published.confirmed == {messages[0].message_id, messages[2].message_id}
        assert client.xlen(stream) == 2

    def test_nothing_in_later_rounds_is_stored_either(
        self,
        make_broker: MakeBroker,
        client: redis.Redis,
        prefix: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The stream refuses the first round only: what comes then would pass it."""
        shop, stream = make_broker(SHOP), f"{prefix}:events:orders"
        rounds = 0

        def execute(pipeline: Any, raise_on_error: bool = True) -> Any:
            nonlocal rounds
            if b"XADD" not in str(pipeline.command_stack).encode():
                return execute_really(pipeline, raise_on_error)
            rounds += 1
            if rounds == 1:
                client.rename(stream, f"{prefix}:away")
                client.set(stream, "mine")
            answers = execute_really(pipeline, raise_on_error)
            if rounds == 1:
                client.rename(f"{prefix}:away", stream)
            return answers

        execute_really = redis.client.Pipeline.execute
        monkeypatch.setattr(redis.client.Pipeline, "execute", execute)
        others = [command("billing") for _ in range(600)]
        events = [event(n) for n in range(600)]

        published = shop.publish([m for pair in zip(others, events, strict=True) for m in pair])

        assert rounds == 3
        assert published.confirmed == {m.message_id for m in others}
        assert client.xlen(stream) == 0

    @pytest.mark.parametrize("byte_count", [500, 100_000, 400_000, 600_000])
    def test_order_holds_when_the_connection_breaks_and_the_rest_is_sent_again(
        self, make_broker: MakeBroker, redis_proxy: Proxy, byte_count: int
    ) -> None:
        shop, billing = make_broker(SHOP, url=through(redis_proxy)), make_broker()
        waiting = [event(n) for n in range(1500)]
        redis_proxy.cut_after(byte_count)
        failures = 0
        while waiting:
            try:
                confirmed = shop.publish(waiting).confirmed
            except BrokerUnavailable:
                confirmed = frozenset()
            failures += len(confirmed) < len(waiting)
            waiting = [message for message in waiting if message.message_id not in confirmed]

        assert failures == 1
        assert list(dict.fromkeys(positions_of(drain(billing)))) == list(range(1500))

    def test_full_memory_is_unavailable_until_there_is_room(self, prefix: str) -> None:
        with redis_server() as (url, _), redis.Redis.from_url(url) as client:
            shop = RedisBroker(using="default", options={"url": url, "prefix": prefix})
            shop.declare(SHOP)
            client.config_set("maxmemory", "1")

            with pytest.raises(BrokerUnavailable, match="OOM"):
                shop.publish([event(1), event(2)])

            client.config_set("maxmemory", "0")
            assert len(shop.publish([event(1), event(2)]).confirmed) == 2
            shop.close()
