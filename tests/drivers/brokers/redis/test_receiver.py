"""What a receiver had comes again, to one receiver at a time."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable

import pytest
import redis

from tests.drivers.brokers.proxy import Proxy
from tests.drivers.brokers.redis.cases import (
    BILLING,
    SHOP,
    MakeBroker,
    command,
    drain,
    event,
    pending,
    said,
    through,
)
from tests.drivers.brokers.redis.receiver_process import LEASE_SECONDS, positions_of
from tests.processes import freeze, thaw
from whizbang.drivers.brokers.base import BrokerUnavailable

pytestmark = pytest.mark.requires_redis


class TestRedelivery:
    def test_connection_gets_nothing_twice(self, make_broker: MakeBroker) -> None:
        billing = make_broker()
        make_broker(SHOP).publish([event(1), event(2)])

        assert positions_of(drain(billing, acknowledge=False)) == [1, 2]

    def test_another_receiver_gets_the_rest_at_once_after_close(
        self, make_broker: MakeBroker, client: redis.Redis, prefix: str
    ) -> None:
        first, second = make_broker(), make_broker()
        make_broker(SHOP).publish([event(n) for n in range(6)])
        held = first.receive(limit=4, timeout_seconds=1)
        assert second.receive(limit=4, timeout_seconds=0.3) == []
        first.acknowledge(held[:2])

        first.close()

        started = time.monotonic()
        assert positions_of(second.receive(limit=3, timeout_seconds=5)) == [2, 3, 4]
        assert time.monotonic() - started < 1
        assert positions_of(drain(second)) == [5]
        assert pending(client, f"{prefix}:events:orders") == 3

    def test_same_object_gets_it_again_after_close(self, make_broker: MakeBroker) -> None:
        billing = make_broker()
        make_broker(SHOP).publish([event(1), command("billing")])
        assert len(billing.receive(limit=5, timeout_seconds=1)) == 2

        billing.close()

        assert len(drain(billing)) == 2
        assert drain(billing) == []

    def test_question_that_arrives_after_its_asker_has_gone_takes_nothing(
        self, make_broker: MakeBroker, redis_proxy: Proxy, redis_url: str
    ) -> None:
        """It hangs in the network while the same receiver has a new connection by another way."""
        shop = make_broker(SHOP)
        billing = make_broker(url=through(redis_proxy), timeout_seconds=0.5)
        assert billing.receive(limit=1, timeout_seconds=0) == []
        redis_proxy.freeze()
        with pytest.raises(BrokerUnavailable):
            billing.receive(limit=2, timeout_seconds=0)
        billing._connection._url = redis_url
        assert billing.receive(limit=5, timeout_seconds=0) == []
        shop.publish([event(n) for n in range(5)])

        redis_proxy.thaw()
        time.sleep(0.3)

        assert positions_of(drain(billing)) == [0, 1, 2, 3, 4]

    def test_answer_that_is_lost_comes_again(
        self, make_broker: MakeBroker, redis_proxy: Proxy
    ) -> None:
        make_broker(SHOP).publish([event(n) for n in range(5)])
        billing = make_broker(url=through(redis_proxy))
        held = billing.receive(limit=2, timeout_seconds=1)
        redis_proxy.delay_seconds = 0.2
        threading.Timer(0.3, redis_proxy.cut).start()  # the question has gone through
        with pytest.raises(BrokerUnavailable):
            billing.receive(limit=2, timeout_seconds=1)
        redis_proxy.delay_seconds = 0.0
        billing.acknowledge(held)

        assert positions_of(drain(billing)) == [2, 3, 4]

    def test_receiver_goes_on_when_its_streams_were_lost_and_declared_again(
        self, make_broker: MakeBroker, client: redis.Redis, prefix: str
    ) -> None:
        billing = make_broker()
        assert billing.receive(limit=1, timeout_seconds=0) == []
        client.delete(f"{prefix}:events:orders")
        with pytest.raises(BrokerUnavailable, match="NOGROUP"):
            billing.receive(limit=1, timeout_seconds=0)

        billing.declare(BILLING)

        make_broker(SHOP).publish([event(1)])
        assert positions_of(drain(billing)) == [1]

    def test_what_is_acknowledged_late_does_not_come_again(self, make_broker: MakeBroker) -> None:
        """It was closed, and nobody else has taken what it had."""
        billing = make_broker()
        make_broker(SHOP).publish([event(1), event(2)])
        held = billing.receive(limit=1, timeout_seconds=1)
        billing.close()

        billing.acknowledge(held)

        assert positions_of(drain(billing)) == [2]

    def test_entry_that_a_dead_stranger_holds_is_claimed(
        self, make_broker: MakeBroker, client: redis.Redis, prefix: str
    ) -> None:
        billing = make_broker(claim_after_seconds=0.4)
        make_broker(SHOP).publish([event(1), event(2)])
        client.xreadgroup("billing", "by hand", {f"{prefix}:events:orders": ">"}, count=1)

        assert positions_of(billing.receive(limit=5, timeout_seconds=0)) == [2]
        time.sleep(0.5)
        assert positions_of(drain(billing)) == [1]


class TestDeadAndStaleReceivers:
    def test_receiver_takes_over_from_one_that_was_killed(
        self, make_broker: MakeBroker, start_receiver: Callable[[str], subprocess.Popen[str]]
    ) -> None:
        shop, second = make_broker(SHOP), make_broker()
        second.close()
        shop.publish([event(n) for n in range(15)])
        first = start_receiver("hold")
        assert said(first) == list(range(10))

        first.kill()
        shop.publish([event(n) for n in range(15, 20)])

        found = second.receive(limit=7, timeout_seconds=LEASE_SECONDS + 2)
        assert positions_of([*found, *drain(second, limit=7)]) == list(range(20))

    def test_receiver_that_slept_past_its_lease_can_do_nothing(
        self,
        make_broker: MakeBroker,
        start_receiver: Callable[[str], subprocess.Popen[str]],
        client: redis.Redis,
        prefix: str,
    ) -> None:
        shop, stream = make_broker(SHOP), f"{prefix}:events:orders"
        shop.publish([event(n) for n in range(15)])
        first, second = start_receiver("wake"), make_broker()
        assert said(first) == list(range(10))
        freeze(first)
        stored = second.receive(limit=12, timeout_seconds=LEASE_SECONDS + 2)
        assert positions_of(stored) == list(range(12))

        thaw(first)
        assert first.stdin is not None
        print(file=first.stdin, flush=True)  # it acknowledges, and receives

        assert said(first) == []
        assert pending(client, stream) == 12
        second.acknowledge(stored)
        second.acknowledge(stored)
        shop.publish([event(15)])
        assert positions_of(drain(second)) == [12, 13, 14, 15]
        assert pending(client, stream) == 0

    def test_lease_is_renewed_while_nothing_comes(
        self, make_broker: MakeBroker, client: redis.Redis, prefix: str
    ) -> None:
        lease, seen = f"{prefix}:receiver:billing:events:orders", []
        timers = [
            threading.Timer(at, lambda: seen.append(client.get(lease))) for at in (0.2, 1.0, 1.4)
        ]
        for timer in timers:
            timer.start()

        assert make_broker(lease_seconds=0.6).receive(limit=1, timeout_seconds=1.6) == []

        for timer in timers:
            timer.join()
        assert len(set(seen)) == 1
        assert seen[0] is not None

    def test_receiver_that_gets_its_lease_back_begins_with_what_is_pending(
        self, make_broker: MakeBroker
    ) -> None:
        first, second = make_broker(lease_seconds=0.3), make_broker(lease_seconds=0.3)
        make_broker(SHOP).publish([event(n) for n in range(4)])
        first.acknowledge(first.receive(limit=1, timeout_seconds=1))
        time.sleep(0.4)
        assert positions_of(second.receive(limit=2, timeout_seconds=1)) == [1, 2]
        time.sleep(0.4)

        assert positions_of(drain(first)) == [1, 2, 3]

    def test_new_message_ends_the_wait(self, make_broker: MakeBroker) -> None:
        billing, shop = make_broker(), make_broker(SHOP)
        billing.receive(limit=1, timeout_seconds=0)
        process = subprocess.Popen(
            [
                "sh",
                "-c",
                f"sleep 0.5; redis-cli -n 15 XADD {billing._key('events', 'orders')} '*' a b",
            ],
            stdout=subprocess.DEVNULL,
        )
        started = time.monotonic()

        found = billing.receive(limit=1, timeout_seconds=8)

        assert len(found) == 1
        assert time.monotonic() - started < 2
        process.wait()
        shop.close()
