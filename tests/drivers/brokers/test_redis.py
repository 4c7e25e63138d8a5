"""What Redis Streams do for the broker, and what they do when something goes wrong."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import redis
from django.conf import settings

from tests.drivers.brokers.proxy import Proxy, proxy_to
from tests.drivers.brokers.redis_receiver_process import LEASE_SECONDS, positions_of
from tests.drivers.brokers.redis_server import redis_server
from tests.elasticsearch_server import free_port
from tests.processes import ROOT
from tests.services import REDIS_URL
from whizbang.drivers.brokers.base import (
    BrokerMessage,
    BrokerUnavailable,
    Delivery,
    Kind,
    Topology,
)
from whizbang.drivers.brokers.redis import RedisBroker
from whizbang.exceptions import WhizbangError
from whizbang.messages.metadata import WireMetadata
from whizbang.testing.conformance import broker as suite
from whizbang.testing.conformance.broker import BrokerContract

pytestmark = pytest.mark.requires_redis

MakeBroker = Callable[..., RedisBroker]

BILLING = Topology(service="billing", owns=[], listens_to=["orders"])
SHOP = Topology(
    service="shop", owns=["orders"], listens_to=[], peers={"billing": ["orders"], "audit": []}
)


def event(position: int, *, domain: str = "orders", payload: bytes = b"{}") -> BrokerMessage:
    return _message(
        Kind.EVENT, domain, payload, stream=f"order-{position % 7}", version=1, position=position
    )


def command(service: str, payload: bytes = b"{}") -> BrokerMessage:
    return _message(Kind.COMMAND, service, payload, reply_to="shop")


def _message(kind: Kind, destination: str, payload: bytes, **fields: Any) -> BrokerMessage:
    message_id = uuid4()
    return BrokerMessage(
        kind=kind,
        destination=destination,
        message_id=message_id,
        type="Thing",
        payload=payload,
        metadata=WireMetadata(message_id=message_id, correlation_id=message_id, service="shop"),
        occurred_at=datetime.now(UTC),
        **fields,
    )


@pytest.fixture
def prefix(redis_url: str) -> Iterator[str]:
    """Keys that begin with it are removed in the end."""
    name = f"{settings.RUN_ID}-{uuid4().hex[:8]}"
    yield name
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter(f"{name}:*", count=1000):
            client.delete(key)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def make_broker(redis_url: str, prefix: str) -> Iterator[MakeBroker]:
    made: list[RedisBroker] = []

    def make(topology: Topology | None = BILLING, **options: Any) -> RedisBroker:
        made.append(
            RedisBroker(using="default", options={"url": redis_url, "prefix": prefix, **options})
        )
        if topology is not None:
            made[-1].declare(topology)
        return made[-1]

    yield make
    for broker in made:
        broker.close()


@pytest.fixture
def redis_proxy(redis_url: str) -> Iterator[Proxy]:
    url = urlsplit(redis_url)
    with proxy_to(url.hostname or "127.0.0.1", url.port or 6379) as proxy:
        yield proxy


def through(proxy: Proxy) -> str:
    return urlsplit(REDIS_URL)._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()


def drain(broker: RedisBroker, *, limit: int = 500, acknowledge: bool = True) -> list[Delivery]:
    """All that comes within a moment of silence."""
    found: list[Delivery] = []
    while batch := broker.receive(limit=limit, timeout_seconds=0.3):
        found += batch
        if acknowledge:
            broker.acknowledge(batch)
    return found


def pending(client: redis.Redis, stream: str, group: str = "billing") -> int:
    return int(client.xpending(stream, group)["pending"])


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

    def test_entry_that_a_dead_stranger_holds_is_claimed(
        self, make_broker: MakeBroker, client: redis.Redis, prefix: str
    ) -> None:
        billing = make_broker(claim_after_seconds=0.4)
        make_broker(SHOP).publish([event(1), event(2)])
        client.xreadgroup("billing", "by hand", {f"{prefix}:events:orders": ">"}, count=1)

        assert positions_of(billing.receive(limit=5, timeout_seconds=0)) == [2]
        time.sleep(0.5)
        assert positions_of(drain(billing)) == [1]


@pytest.fixture
def start_receiver(redis_url: str, prefix: str) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that receives; see redis_receiver_process."""
    started: list[subprocess.Popen[str]] = []

    def start(mode: str) -> subprocess.Popen[str]:
        module = "tests.drivers.brokers.redis_receiver_process"
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", module, redis_url, prefix, mode],
                cwd=ROOT,
                env=os.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return list(json.loads(process.stdout.readline()))


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
        first.send_signal(signal.SIGSTOP)
        stored = second.receive(limit=12, timeout_seconds=LEASE_SECONDS + 2)
        assert positions_of(stored) == list(range(12))

        first.send_signal(signal.SIGCONT)
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
            process.send_signal(signal.SIGSTOP)
            started = time.monotonic()
            try:
                with pytest.raises(BrokerUnavailable):
                    shop.publish([event(1)])
            finally:
                process.send_signal(signal.SIGCONT)
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
