"""RabbitMQ passes the suite of every broker, and survives what networks do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import pika
import pytest
from django.conf import settings

from tests.drivers.brokers.proxy import Proxy, proxy_to
from tests.elasticsearch_server import free_port
from tests.services import RABBITMQ_URL, SERVICES
from whizbang.drivers.brokers.base import Broker, BrokerMessage, BrokerUnavailable, Topology
from whizbang.drivers.brokers.cloudevents import STRUCTURED_HEADER, to_binary
from whizbang.drivers.brokers.rabbitmq import RabbitMQBroker
from whizbang.drivers.brokers.rabbitmq.names import Names, routing_key_of
from whizbang.exceptions import WhizbangError
from whizbang.testing.conformance import broker as suite
from whizbang.testing.conformance.broker import BrokerContract, Join, MakeBroker

pytestmark = pytest.mark.requires_rabbitmq


@pytest.fixture
def channel() -> Iterator[Any]:
    """Of plain pika, as another program would have it."""
    connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ_URL))
    yield connection.channel()
    connection.close()


@pytest.fixture
def names() -> Iterator[Names]:
    """Of a prefix for this test only; what has been made under it is removed."""
    made = Names(f"whizbang-{settings.RUN_ID}-{uuid4().hex[:8]}")
    yield made
    connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ_URL))
    channel = connection.channel()
    for service in suite.SERVICES:
        channel.queue_delete(made.queue_of(service))
        channel.queue_delete(made.event_queue_of(service))
    for exchange in (made.services, made.events):
        channel.exchange_delete(exchange)
    connection.close()


@pytest.fixture
def make_broker(names: Names) -> MakeBroker:
    def make(service: str, **options: Any) -> Broker:
        options = {"url": RABBITMQ_URL, "prefix": names.prefix, **options}
        return RabbitMQBroker(using="default", alias=service, options=options)

    return make


class TestRabbitMQ(BrokerContract):
    @pytest.fixture
    def make_broker(self, make_broker: MakeBroker) -> MakeBroker:
        return make_broker

    @pytest.fixture
    def unreachable(self) -> Broker:
        options = {"url": f"amqp://ada:secret@127.0.0.1:{free_port()}/%2F"}
        return RabbitMQBroker(using="default", options=options)

    @pytest.fixture
    def send_raw(self, channel: Any, names: Names) -> Callable[[str, bytes], None]:
        properties = pika.BasicProperties(content_type="application/cloudevents+json")

        def send(service: str, body: bytes) -> None:
            channel.basic_publish(names.services, service, body, properties)

        return send


class TestTelemetry:
    join = BrokerContract.join

    def test_it_is_told_exchange_and_key_and_queue_and_what_waits(
        self, join: Join, names: Names
    ) -> None:
        shop = join("shop", peers={"billing": ["orders"]})
        billing = join("billing", listens_to=["orders"], prefetch=1)
        sent = [suite.command("billing", number) for number in range(3)]
        suite.publish(shop, *sent, suite.event("orders", 1))
        first = billing.receive(limit=1, timeout_seconds=30)
        queue, events = names.queue_of("billing"), names.event_queue_of("billing")
        assert billing.depths() == {queue: 2, events: 0}
        assert billing.source_of(first[0]) in (queue, events)
        assert shop.destination_of(sent[0]) == f"{names.services}:billing"
        placed = suite.event("orders", 1)
        assert shop.destination_of(placed) == f"{names.events}:orders.OrderPlaced"
        assert (shop.system, str(shop.server)) == ("rabbitmq", _address())

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("amqp://ada:secret@broker/%2F", "broker:5672"),
            ("amqps://ada:secret@broker/%2F", "broker:5671"),
            ("amqp://ada:secret@broker:99/%2F", "broker:99"),
        ],
    )
    def test_server_is_told_without_credentials(self, url: str, expected: str) -> None:
        assert str(RabbitMQBroker(using="default", options={"url": url}).server) == expected


def _address() -> str:
    return f"{SERVICES['rabbitmq'].host}:{SERVICES['rabbitmq'].port}"


class TestWithOthers:
    join = BrokerContract.join

    def test_plain_pika_and_the_cloudevents_sdk_read_what_we_publish(
        self, join: Join, channel: Any, names: Names
    ) -> None:
        sdk = pytest.importorskip("cloudevents.core.bindings.amqp")
        shop = join("shop", peers={"billing": ["orders"]})
        sent = suite.event("orders", 7)
        suite.publish(shop, sent)
        queue = names.event_queue_of("billing")
        method, properties, body = next(channel.consume(queue, inactivity_timeout=30))
        assert (method.exchange, method.routing_key) == (names.events, "orders.OrderPlaced")
        assert properties.content_type == STRUCTURED_HEADER
        assert (properties.delivery_mode, properties.message_id) == (2, str(sent.message_id))
        assert json.loads(body)["id"] == str(sent.message_id)
        message = sdk.AMQPMessage(
            properties={"content-type": properties.content_type},
            application_properties={},
            application_data=body,
        )
        read = sdk.from_amqp_event(message)
        assert read.get_type() == "orders.OrderPlaced"
        assert read.get_data() == {"number": 7}

    @pytest.mark.parametrize("prefix", ["ce-", "cloudEvents:", "cloudEvents_", "ce_"])
    def test_attributes_may_come_in_headers(
        self, join: Join, channel: Any, names: Names, prefix: str
    ) -> None:
        billing = join("billing")
        sent = suite.command("billing", ordering_key="ä", reply_to="shop")
        headers, body = to_binary(sent, prefix=prefix)
        properties = pika.BasicProperties(
            content_type="application/json",
            headers={**headers, f"{prefix}schemaversion": 1, f"{prefix}time": sent.occurred_at},
        )
        channel.basic_publish(names.services, "billing", body, properties)
        (read,) = suite.take(billing, 1)
        assert read.occurred_at == sent.occurred_at.replace(microsecond=0)  # all that AMQP holds
        assert (read.message_id, read.payload, read.ordering_key, read.reply_to) == (
            sent.message_id,
            sent.payload,
            "ä",
            "shop",
        )

    def test_body_without_a_sign_of_cloudevents_is_a_problem(
        self, join: Join, channel: Any, names: Names
    ) -> None:
        billing = join("billing")
        channel.basic_publish(names.services, "billing", b"hello")
        (delivery,) = suite.receive(billing, 1)
        assert delivery.message is None
        assert "ce-specversion" in delivery.problem
        assert delivery.raw == b"hello"


class TestTopology:
    join = BrokerContract.join

    @pytest.mark.parametrize("make", [suite.command, suite.reply])
    def test_message_to_a_service_without_a_queue_is_refused(
        self, join: Join, make: Callable[..., BrokerMessage]
    ) -> None:
        shop, billing = join("shop"), join("billing")
        lost, long = make("nobody"), make("n" * 256)
        kept = [make("billing", number) for number in range(3)]
        published = shop.publish([kept[0], lost, kept[1], long, kept[2]])
        assert published.confirmed == set(suite.ids(kept))
        assert set(published.refused) == {lost.message_id, long.message_id}
        assert "'nobody'" in published.refused[lost.message_id]
        assert suite.take(billing, 3) == kept

    def test_queue_of_another_kind_is_refused_with_words(
        self, make_broker: MakeBroker, channel: Any, names: Names
    ) -> None:
        channel.queue_declare(names.queue_of("shop"), durable=True)
        shop = make_broker("shop")
        topology = Topology(service="shop", owns=["orders"], listens_to=[])
        with pytest.raises(WhizbangError, match="delete it once it is empty") as caught:
            shop.declare(topology)
        assert repr(names.queue_of("shop")) in str(caught.value)
        channel.queue_delete(names.queue_of("shop"))
        shop.declare(topology)
        shop.close()

    def test_exchange_of_another_kind_is_refused_with_words(
        self, make_broker: MakeBroker, channel: Any, names: Names
    ) -> None:
        channel.exchange_declare(names.events, "fanout", durable=True)
        with pytest.raises(WhizbangError, match="an exchange .* of another kind"):
            make_broker("shop").declare(Topology(service="shop", owns=[], listens_to=[]))

    def test_what_was_deleted_is_made_again(self, join: Join, channel: Any, names: Names) -> None:
        shop, billing = join("shop"), join("billing")
        first, second = suite.command("billing", 1), suite.command("billing", 2)
        suite.publish(shop, first)
        assert suite.take(billing, 1) == [first]
        channel.exchange_delete(names.services)
        with pytest.raises(BrokerUnavailable):
            shop.publish([second])
        channel.queue_delete(names.queue_of("billing"))
        with pytest.raises(BrokerUnavailable, match="was deleted"):
            suite.receive(billing, 1)
        assert suite.is_silent(billing)
        suite.publish(shop, second)
        assert suite.take(billing, 1) == [second]

    def test_names_are_cut_where_amqp_has_no_room(self) -> None:
        key = routing_key_of("orders", "ß" * 300)
        assert len(key.encode()) == 255
        assert routing_key_of("orders", "orders.Placed") == "orders.Placed"

    def test_other_urls_are_refused(self) -> None:
        with pytest.raises(WhizbangError, match="amqps://"):
            RabbitMQBroker(using="default", options={"url": "redis://ada:secret@host"})

    def test_missing_pika_is_named_with_its_remedy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pika", None)
        with pytest.raises(WhizbangError, match=r"pip install django-whizbang\[rabbitmq\]"):
            RabbitMQBroker(using="default")

    def test_tls_with_a_missing_file_is_unavailable(self, make_broker: MakeBroker) -> None:
        shop = make_broker("shop", tls={"ca": "/nowhere/ca.pem"})
        with pytest.raises(BrokerUnavailable, match="No such file"):
            shop.declare(Topology(service="shop", owns=[], listens_to=[]))

    def test_server_that_speaks_no_tls_is_unavailable(self, make_broker: MakeBroker) -> None:
        shop = make_broker("shop", url=RABBITMQ_URL, tls={}, timeout_seconds=5)
        with pytest.raises(BrokerUnavailable, match="SSL"):
            shop.declare(Topology(service="shop", owns=[], listens_to=[]))

    def test_wrong_password_is_unavailable_and_not_shown(self, make_broker: MakeBroker) -> None:
        server = f"{SERVICES['rabbitmq'].host}:{SERVICES['rabbitmq'].port}"
        shop = make_broker("shop", url=f"amqp://guest:hidden@{server}/%2F")
        with pytest.raises(BrokerUnavailable, match="(?i)authentication") as caught:
            shop.declare(Topology(service="shop", owns=[], listens_to=[]))
        assert "hidden" not in f"{caught.value!r}"


class TestFaults:
    join = BrokerContract.join

    @pytest.fixture
    def proxy(self) -> Iterator[Proxy]:
        with proxy_to(SERVICES["rabbitmq"].host, SERVICES["rabbitmq"].port) as proxy:
            yield proxy

    @pytest.fixture
    def url(self, proxy: Proxy) -> str:
        server = f"{SERVICES['rabbitmq'].host}:{SERVICES['rabbitmq'].port}"
        assert server in RABBITMQ_URL
        return RABBITMQ_URL.replace(server, f"127.0.0.1:{proxy.port}")

    @pytest.mark.parametrize("cut_after", [1, 200_000, 700_000])
    def test_nothing_is_lost_when_the_connection_is_cut_amid_a_batch(
        self, join: Join, proxy: Proxy, url: str, cut_after: int
    ) -> None:
        shop = join("shop", url=url)
        billing = join("billing", listens_to=["orders"])
        suite.publish(shop, suite.event("payments"))  # the connection is there
        sent = [suite.event("orders", position) for position in range(1, 2001)]
        proxy.cut_after(cut_after)
        first = self._confirmed(shop, sent)
        assert len(first) < len(sent)
        left = [message for message in sent if message.message_id not in first]
        suite.publish(shop, *left)
        found: list[UUID] = []
        while len(set(found)) < len(sent):
            more = suite.ids(suite.take(billing, 1))
            assert more, f"{len(sent) - len(set(found))} messages are lost"
            found += more
        assert set(found) == set(suite.ids(sent))

    def test_frozen_broker_does_not_hold_a_publisher(
        self, join: Join, proxy: Proxy, url: str
    ) -> None:
        shop, billing = join("shop", url=url, timeout_seconds=1), join("billing")
        suite.publish(shop, suite.command("billing", 1))
        assert len(suite.take(billing, 1)) == 1
        waits = suite.command("billing", 2)
        proxy.freeze()
        for _ in range(2):  # by the connection that is there, then by a new one
            began = monotonic()
            with pytest.raises(BrokerUnavailable):
                shop.publish([waits])
            assert monotonic() - began < 10
        proxy.thaw()
        suite.publish(shop, waits)
        assert waits in suite.take(billing, 1)

    def test_frozen_broker_does_not_hold_a_receiver(
        self, join: Join, proxy: Proxy, url: str
    ) -> None:
        shop, billing = join("shop"), join("billing", url=url, timeout_seconds=1)
        assert billing.receive(limit=1, timeout_seconds=0.1) == []
        proxy.freeze()
        sent = suite.command("billing")
        suite.publish(shop, sent)
        began = monotonic()
        assert billing.receive(limit=1, timeout_seconds=0.5) == []
        billing.close()
        with pytest.raises(BrokerUnavailable):
            billing.receive(limit=1, timeout_seconds=0.5)
        assert monotonic() - began < 15
        proxy.thaw()
        assert suite.take(billing, 1) == [sent]

    @pytest.mark.parametrize("freeze_after", [1, 300, 450, 500, 600, 800])
    def test_broker_that_freezes_at_any_step_holds_nobody(
        self, join: Join, proxy: Proxy, url: str, freeze_after: int
    ) -> None:
        billing = join("billing", url=url, timeout_seconds=0.5, listens_to=["orders"])
        proxy.freeze_after(freeze_after)
        began = monotonic()
        with pytest.raises(BrokerUnavailable, match="no answer|[Tt]imeout"):
            while True:
                assert billing.receive(limit=1, timeout_seconds=0.1) == []
                billing.close()
        assert monotonic() - began < 10
        proxy.thaw()
        assert suite.is_silent(billing)

    def test_what_a_cut_receiver_held_comes_again(self, join: Join, proxy: Proxy, url: str) -> None:
        shop, billing = join("shop"), join("billing", url=url, listens_to=["orders"])
        sent = [suite.event("orders", position) for position in range(1, 11)]
        suite.publish(shop, *sent)
        held = suite.receive(billing, 10)
        proxy.cut()
        with pytest.raises(BrokerUnavailable):
            suite.receive(billing, 1)
        with pytest.raises(BrokerUnavailable, match="they come again"):
            billing.acknowledge(held)
        assert suite.messages_of(suite.receive(billing, 10)) == sent
        with pytest.raises(BrokerUnavailable, match="they come again"):
            billing.acknowledge(held)  # their tags are those of what came by the new connection
        billing.close()
        assert suite.take(billing, 10) == sent

    def test_half_closed_connection_is_replaced(self, join: Join, proxy: Proxy, url: str) -> None:
        shop, billing = join("shop", url=url), join("billing")
        suite.publish(shop, suite.command("billing", 1))
        proxy.half_close()
        sent = [suite.command("billing", number) for number in range(2, 5)]
        first = self._confirmed(shop, sent)
        suite.publish(shop, *(m for m in sent if m.message_id not in first))
        assert len(set(suite.ids(suite.take(billing, 4)))) >= 3

    def test_what_the_broker_nacks_is_not_confirmed(
        self, join: Join, channel: Any, names: Names
    ) -> None:
        shop, billing = join("shop"), join("billing")
        queue = names.queue_of("billing")
        channel.queue_delete(queue)
        full = {"x-queue-type": "quorum", "x-max-length": 10, "x-overflow": "reject-publish"}
        channel.queue_declare(queue, durable=True, arguments=full)
        channel.queue_bind(queue, names.services, "billing")
        sent = [suite.command("billing", number) for number in range(2000)]
        # The limit is a soft one: what is on its way when it is reached is taken.
        confirmed = [shop.publish(sent[at : at + 500]).confirmed for at in range(0, 2000, 500)]
        assert not confirmed[-1]
        kept = {delivery.message_id for delivery in suite.take(billing, len(confirmed[0]))}
        assert kept.issuperset(frozenset().union(*confirmed))
        again = shop.publish(sent[-1:])  # nacks leave the connection as it is
        assert again.confirmed == {sent[-1].message_id}

    def test_slow_network_only_takes_longer(self, join: Join, proxy: Proxy, url: str) -> None:
        proxy.delay_seconds = 0.02
        shop, billing = join("shop", url=url), join("billing", url=url, listens_to=["orders"])
        sent = [suite.event("orders", position) for position in range(1, 301)]
        suite.publish(shop, *sent)
        assert suite.take(billing, 300) == sent

    def test_publisher_that_was_idle_connects_anew(
        self, join: Join, proxy: Proxy, url: str
    ) -> None:
        shop, billing = join("shop", url=url, heartbeat_seconds=1), join("billing")
        suite.publish(shop, suite.command("billing", 1))
        connection = shop._publisher.link  # type: ignore[attr-defined]
        while connection.idle_seconds <= 0.5:
            assert shop._publisher is not None  # type: ignore[attr-defined]
        suite.publish(shop, suite.command("billing", 2))
        assert shop._publisher.link is not connection  # type: ignore[attr-defined]
        assert len(suite.take(billing, 2)) == 2

    def test_receiver_without_messages_keeps_its_connection(self, join: Join) -> None:
        shop, billing = join("shop"), join("billing", heartbeat_seconds=1)
        assert suite.is_silent(billing)
        connection = billing._consumer.link  # type: ignore[attr-defined]
        until = monotonic() + 4  # the server gives up after two heartbeats
        while monotonic() < until:
            assert billing.receive(limit=1, timeout_seconds=0.7) == []
        sent = suite.command("billing")
        suite.publish(shop, sent)
        assert suite.take(billing, 1) == [sent]
        assert billing._consumer.link is connection  # type: ignore[attr-defined]

    def _confirmed(self, broker: Broker, messages: list[Any]) -> frozenset[UUID]:
        try:
            return broker.publish(messages).confirmed
        except BrokerUnavailable:
            return frozenset()
