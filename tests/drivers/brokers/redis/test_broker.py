"""Redis Streams pass the suite of every broker; routing, limits, and what cannot be read or reached."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.drivers.brokers.redis.cases import (
    BILLING,
    SHOP,
    MakeBroker,
    command,
    drain,
    event,
    pending,
)
from tests.drivers.brokers.redis.receiver_process import positions_of
from tests.drivers.brokers.redis.server import redis_server
from tests.elasticsearch_server import free_port
from tests.processes import freeze, thaw
from whizbang.drivers.brokers.base import (
    BrokerUnavailable,
    Kind,
    Topology,
)
from whizbang.drivers.brokers.redis import RedisBroker
from whizbang.exceptions import WhizbangError
from whizbang.testing.conformance import broker as suite
from whizbang.testing.conformance.broker import BrokerContract

pytestmark = pytest.mark.requires_redis


class TestRedisBroker(BrokerContract):
    @pytest.fixture
    def make_broker(self, redis_url: str, prefix: str) -> suite.MakeBroker:
        def make(service: str, **options: Any) -> RedisBroker:
            options = {"url": redis_url, "prefix": prefix, **options}
            return RedisBroker(using="default", alias=service, options=options)

        return make

    @pytest.fixture
    def unreachable(self) -> RedisBroker:
        options = {"url": f"redis://ada:secret@127.0.0.1:{free_port()}/0"}
        return RedisBroker(using="default", options=options)

    @pytest.fixture
    def send_raw(self, client: redis.Redis, prefix: str) -> Callable[[str, bytes], Any]:
        return lambda service, body: client.xadd(f"{prefix}:service:{service}", {"event": body})


class TestRouting:
    def test_commands_go_to_their_service_and_events_to_all_that_listen(
        self, make_broker: MakeBroker
    ) -> None:
        shop, billing = make_broker(SHOP), make_broker(BILLING)
        audit = make_broker(Topology(service="audit", owns=[], listens_to=["orders"]))
        to_billing, to_audit, placed = command("billing"), command("audit"), event(1)

        published = shop.publish([to_billing, placed, to_audit])

        assert published.confirmed == {m.message_id for m in (to_billing, placed, to_audit)}
        found = [{d.message for d in drain(broker)} for broker in (billing, audit, shop)]
        assert found == [{to_billing, placed}, {to_audit, placed}, set()]

    def test_service_that_joins_late_gets_what_is_retained(self, make_broker: MakeBroker) -> None:
        make_broker(SHOP).publish([event(1), event(2, domain="others"), command("late")])

        late = make_broker(Topology(service="late", owns=[], listens_to=["orders", "others"]))

        assert {d.message.kind for d in drain(late) if d.message} == {Kind.EVENT, Kind.COMMAND}

    def test_declaring_again_changes_nothing(self, make_broker: MakeBroker) -> None:
        billing = make_broker()
        make_broker(SHOP).publish([event(1), event(2)])
        billing.receive(limit=1, timeout_seconds=1)

        billing.declare(BILLING)

        assert positions_of(drain(billing)) == [2]

    def test_key_of_another_type_is_refused_in_words(
        self, make_broker: MakeBroker, client: redis.Redis, prefix: str
    ) -> None:
        client.set(f"{prefix}:events:orders", "mine")

        for topology in (BILLING, SHOP):
            with pytest.raises(WhizbangError, match=r"events:orders' .* is a string: rename or"):
                make_broker(topology)

    def test_plain_client_reads_what_is_published(
        self, make_broker: MakeBroker, client: redis.Redis, prefix: str
    ) -> None:
        sent = event(5, payload=b'{"total": 12}')
        make_broker(SHOP).publish([sent])

        [(_, fields)] = client.xrange(f"{prefix}:events:orders")

        assert fields[b"content-type"] == b"application/cloudevents+json; charset=UTF-8"
        document = json.loads(fields[b"event"])
        assert document["id"] == str(sent.message_id)
        assert document["data"] == {"total": 12}


class TestMalformed:
    @pytest.mark.parametrize(
        ("fields", "problem", "raw"),
        [
            ({"event": "no json"}, "no CloudEvent", b"no json"),
            ({"content-type": "text/plain", "event": "hi"}, "content type", b"hi"),
            ({"other": b"\xff"}, "no field 'event'", rb'{"other":"\\xff"}'),
        ],
    )
    def test_it_is_set_aside_with_what_it_says(
        self,
        make_broker: MakeBroker,
        client: redis.Redis,
        prefix: str,
        fields: dict[Any, Any],
        problem: str,
        raw: bytes,
    ) -> None:
        billing, shop = make_broker(), make_broker(SHOP)
        client.xadd(f"{prefix}:events:orders", fields)
        shop.publish([event(1)])

        bad, good = drain(billing)

        assert (bad.message, bad.raw) == (None, raw)
        assert problem in bad.problem
        assert good.message is not None
        assert pending(client, f"{prefix}:events:orders") == 0

    def test_entry_that_was_trimmed_while_it_was_pending_says_so(
        self, make_broker: MakeBroker, client: redis.Redis, prefix: str
    ) -> None:
        billing, shop = make_broker(), make_broker(SHOP)
        shop.publish([event(1), event(2)])
        billing.receive(limit=2, timeout_seconds=1)
        client.xtrim(f"{prefix}:events:orders", maxlen=1, approximate=False)
        billing.close()

        lost, kept = drain(billing)

        assert "trimmed" in lost.problem
        assert kept.message is not None
        assert pending(client, f"{prefix}:events:orders") == 0


class TestLimits:
    def test_message_too_large_is_refused_and_the_others_pass(
        self, make_broker: MakeBroker
    ) -> None:
        shop, billing = make_broker(SHOP, max_message_bytes=2000), make_broker()
        small, large = event(1), event(2, payload=b'"' + b"x" * 2000 + b'"')

        published = shop.publish([large, small])

        assert published.confirmed == {small.message_id}
        assert "takes 2000 (max_message_bytes)" in published.refused[large.message_id]
        assert positions_of(drain(billing)) == [1]

    def test_stream_is_trimmed_to_about_its_length(
        self, make_broker: MakeBroker, client: redis.Redis, prefix: str
    ) -> None:
        shop = make_broker(SHOP, max_length=500)
        shop.publish([event(n) for n in range(3000)])

        assert 500 <= client.xlen(f"{prefix}:events:orders") < 700


class TestUnavailable:
    @pytest.mark.parametrize("query", ["", "?password=s%C3%A9cret"])
    def test_errors_have_no_password_in_them(self, query: str) -> None:
        user = "" if query else "ada:s%C3%A9cret@"
        options = {"url": f"redis://{user}127.0.0.1:{free_port()}/0{query}"}
        broker = RedisBroker(using="default", alias="main", options=options)

        for ask in (
            lambda: broker.declare(BILLING),
            lambda: broker.publish([event(1)]),
        ):
            with pytest.raises(BrokerUnavailable) as caught:
                ask()
            assert "cret" not in f"{caught.value}{caught.value.reason}{broker!r}"
            assert caught.value.__cause__ is None

    def test_wrong_password_is_unavailable(self) -> None:
        with redis_server() as (url, _), redis.Redis.from_url(url) as client:
            client.config_set("requirepass", "right")
            options = {"url": url.replace("//", "//:wrong-one@")}
            with pytest.raises(BrokerUnavailable) as caught:
                RedisBroker(using="default", options=options).declare(BILLING)
            assert "wrong-one" not in str(caught.value)

    def test_broker_connects_anew_after_the_server_was_away(self, prefix: str) -> None:
        with redis_server() as (url, process):
            options = {"url": url, "prefix": prefix, "timeout_seconds": 0.5}
            shop = RedisBroker(using="default", options=options)
            shop.declare(SHOP)
            freeze(process)
            started = time.monotonic()
            try:
                with pytest.raises(BrokerUnavailable):
                    shop.publish([event(1)])
            finally:
                thaw(process)
            assert time.monotonic() - started < 2
            assert len(shop.publish([event(1)]).confirmed) == 1
            shop.close()

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"url": "amqp://x"}, "begins with none of redis://"),
            ({"max_length": 0}, "max_length is 0, not above 0"),
            ({"max_len": 5}, "unknown option 'max_len'"),
        ],
    )
    def test_options_are_checked(self, options: dict[str, Any], problem: str) -> None:
        with pytest.raises(WhizbangError, match=problem):
            RedisBroker(using="default", options=options)

    def test_receiving_before_declare_is_refused(self, make_broker: MakeBroker) -> None:
        with pytest.raises(WhizbangError, match="before declare"):
            make_broker(None).receive(limit=1, timeout_seconds=0)


class TestTelemetry:
    def test_it_is_told_the_streams_and_what_is_not_acknowledged(
        self, make_broker: MakeBroker, prefix: str
    ) -> None:
        broker = make_broker()
        sent = [command("billing"), event(1)]
        broker.publish([*sent, command("billing")])
        assert [broker.destination_of(message) for message in sent] == [
            f"{prefix}:service:billing",
            f"{prefix}:events:orders",
        ]
        deliveries = broker.receive(limit=1, timeout_seconds=30)
        depths = {f"{prefix}:service:billing": 2, f"{prefix}:events:orders": 1}
        assert {name: broker.depths()[name] for name in depths} == depths
        assert broker.source_of(deliveries[0]) in depths
        assert (broker.system, broker.group) == ("redis", "billing")

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("redis://ada:secret@cache/0", "cache:6379"),
            ("rediss://:secret@cache:99/0", "cache:99"),
            ("unix:///run/redis.sock", "/run/redis.sock"),
        ],
    )
    def test_server_is_told_without_credentials(self, url: str, expected: str) -> None:
        assert str(RedisBroker(using="default", options={"url": url}).server) == expected
