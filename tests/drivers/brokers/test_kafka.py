"""Kafka passes the suite of every broker, is read by others and reads them.

No Apache Kafka could be run here: noida-db speaks its protocol. WHIZBANG_TEST_KAFKA names a real one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Consumer, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from django.conf import settings

from tests.noida_server import free_port
from whizbang.drivers.brokers.base import Broker, BrokerMessage, Kind, Topology
from whizbang.drivers.brokers.cloudevents import STRUCTURED_HEADER, to_structured
from whizbang.drivers.brokers.kafka import KafkaBroker
from whizbang.exceptions import WhizbangError
from whizbang.testing.conformance import broker as suite
from whizbang.testing.conformance.broker import BrokerContract, Join, MakeBroker

_PATIENCE_SECONDS = 30.0


@pytest.fixture
def prefix() -> str:
    return f"whizbang-{settings.RUN_ID}-{uuid4().hex[:8]}"


@pytest.fixture
def make_broker(kafka_address: str, prefix: str) -> MakeBroker:
    def make(service: str, **options: Any) -> Broker:
        options = {"bootstrap_servers": kafka_address, "prefix": prefix, **options}
        return KafkaBroker(using="default", alias=service, options=options)

    return make


@pytest.fixture
def admin(kafka_address: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka_address})


@pytest.fixture
def send(kafka_address: str, prefix: str) -> Callable[..., None]:
    """Plain Kafka, as another program would have it. The topic is named without the prefix."""

    def send(topic: str, value: bytes, headers: dict[str, Any] | None = None) -> None:
        producer = Producer({"bootstrap.servers": kafka_address})
        producer.produce(f"{prefix}.{topic}", value, headers=list((headers or {}).items()))
        assert producer.flush(_PATIENCE_SECONDS) == 0

    return send


@pytest.fixture
def read(kafka_address: str, prefix: str) -> Iterator[Callable[[str], Message]]:
    """The next record of a topic, for a program that is not ours."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka_address,
            "group.id": f"{prefix}-others",
            "auto.offset.reset": "earliest",
        }
    )

    def read(topic: str) -> Message:
        consumer.subscribe([f"{prefix}.{topic}"])
        record = consumer.poll(_PATIENCE_SECONDS)
        assert record is not None and record.error() is None
        return record

    yield read
    consumer.close()


class TestKafka(BrokerContract):
    @pytest.fixture
    def make_broker(self, make_broker: MakeBroker) -> MakeBroker:
        return make_broker

    @pytest.fixture
    def unreachable(self) -> Broker:
        return KafkaBroker(
            using="default",
            options={
                "bootstrap_servers": f"127.0.0.1:{free_port()}",
                "timeout_seconds": 1,
                "security": {
                    "security.protocol": "SASL_PLAINTEXT",
                    "sasl.mechanism": "PLAIN",
                    "sasl.username": "ada",
                    "sasl.password": "secret",
                },
            },
        )

    @pytest.fixture
    def send_raw(self, send: Callable[..., None]) -> Callable[[str, bytes], None]:
        headers = {"content-type": "application/cloudevents+json"}
        return lambda service, body: send(f"service.{service}", body, headers)


class TestWithOthers:
    join = BrokerContract.join

    def test_plain_consumer_reads_attributes_in_headers(
        self, join: Join, read: Callable[[str], Message]
    ) -> None:
        sent = suite.event("orders", 7, stream="orders.order-ä")
        suite.publish(join("shop"), sent)
        record = read("events.orders")
        headers = dict(record.headers() or [])
        assert headers["content-type"] == b"application/json"
        assert headers["ce_specversion"] == b"1.0"
        assert headers["ce_id"] == str(sent.message_id).encode()
        assert headers["ce_type"] == b"orders.OrderPlaced"
        assert headers["ce_subject"] == headers["ce_partitionkey"] == "orders.order-ä".encode()
        assert headers["ce_sequence"] == b"00000000000000000007"
        assert (record.key(), record.value()) == ("orders.order-ä".encode(), b'{"number":7}')

    def test_command_is_keyed_by_its_ordering_key(
        self, join: Join, read: Callable[[str], Message]
    ) -> None:
        shop = join("shop", peers={"billing": ()})
        suite.publish(shop, suite.command("billing", ordering_key="account-1"))
        assert read("service.billing").key() == b"account-1"

    def test_command_without_an_ordering_key_has_no_key(
        self, join: Join, read: Callable[[str], Message]
    ) -> None:
        suite.publish(join("shop"), suite.command("shop"))
        assert read("service.shop").key() is None

    @pytest.mark.parametrize("content_type", [STRUCTURED_HEADER, "Application/CloudEvents+json"])
    def test_whole_message_may_come_as_one_document(
        self, join: Join, send: Callable[..., None], content_type: str
    ) -> None:
        billing = join("billing")
        sent = suite.command("billing", ordering_key="ä", reply_to="shop")
        send("service.billing", to_structured(sent), {"content-type": content_type})
        assert suite.take(billing, 1) == [sent]

    def test_topic_says_what_a_message_of_another_program_is(
        self, join: Join, send: Callable[..., None]
    ) -> None:
        billing = join("billing", listens_to=["payments.eu"])
        headers = {"ce_specversion": "1.0", "ce_id": str(uuid4()), "ce_source": "/bank"}
        headers |= {"ce_type": "paid", "ce_subject": "p-1", "ce_partitionkey": "p-1"}
        send("events.payments.eu", b"{}", headers)
        (event,) = suite.take(billing, 1)
        assert (event.kind, event.destination, event.stream) == (Kind.EVENT, "payments.eu", "p-1")
        assert event.ordering_key is None
        send("service.billing", b"{}", headers)
        (command,) = suite.take(billing, 1)
        assert (command.kind, command.destination) == (Kind.COMMAND, "billing")

    @pytest.mark.parametrize(
        "headers", [None, {"ce_specversion": "1.0"}, {"ce_id": b"\xff"}, {"ce_id": None}]
    )
    def test_record_without_attributes_is_a_problem(
        self, join: Join, send: Callable[..., None], headers: dict[str, Any] | None
    ) -> None:
        billing = join("billing")
        send("service.billing", b"hello", headers)
        (delivery,) = suite.receive(billing, 1)
        assert delivery.message is None and delivery.problem
        assert delivery.raw == b"hello"


class TestTopics:
    join = BrokerContract.join

    @pytest.mark.parametrize("make", [suite.command, suite.reply])
    def test_message_to_a_service_without_a_topic_is_refused(
        self, join: Join, make: Callable[..., BrokerMessage], admin: AdminClient, prefix: str
    ) -> None:
        shop = join("shop", peers={"billing": ()})
        lost, kept = make("nobody"), [make("billing", number) for number in range(2)]
        published = shop.publish([kept[0], lost, kept[1]])
        assert published.confirmed == set(suite.ids(kept))
        assert f"{prefix}.service.nobody" in published.refused[lost.message_id]
        # Asking for it by name would have made it on many clusters.
        assert f"{prefix}.service.nobody" not in admin.list_topics(timeout=5).topics

    def test_topics_have_as_many_partitions_as_the_options_say(
        self, join: Join, admin: AdminClient, prefix: str
    ) -> None:
        join(
            "shop", listens_to=["payments"], peers={"billing": ()}, partitions=2, event_partitions=3
        )
        topics = admin.list_topics(timeout=5).topics
        made = {name: len(topics[f"{prefix}.{name}"].partitions) for name in _TOPICS_OF_SHOP}
        assert made == _TOPICS_OF_SHOP

    def test_own_topic_with_fewer_partitions_than_wanted_is_refused_in_words(
        self, join: Join, admin: AdminClient, prefix: str
    ) -> None:
        topic = f"{prefix}.events.orders"
        admin.create_topics([NewTopic(topic, 2, 1)])[topic].result()
        join("shop", event_partitions=1)
        with pytest.raises(WhizbangError, match=r"has 2 partition.*3 are wanted.*--alter"):
            join("shop", event_partitions=3)
        join("billing", listens_to=["orders"], event_partitions=3)  # it is not billing's

    def test_name_that_kafka_does_not_take_is_refused_in_words(self, join: Join) -> None:
        with pytest.raises(WhizbangError, match="Kasse/1.*Rename the service"):
            join("Kasse/1")


_TOPICS_OF_SHOP = {
    "service.shop": 2,
    "service.billing": 2,
    "events.orders": 3,
    "events.payments": 3,
}


class TestPartitions:
    join = BrokerContract.join

    def test_streams_keep_their_order_in_many_partitions(self, join: Join) -> None:
        shop = join("shop", event_partitions=8)
        receivers = [join("billing", listens_to=["orders"], event_partitions=8) for _ in range(2)]
        sent = [suite.event("orders", n, stream=f"order-{n % 50}") for n in range(1, 5001)]
        for start in range(0, len(sent), 700):
            suite.publish(shop, *sent[start : start + 700])
        found = take_in_turns(receivers, len(sent))
        for stream in {message.stream for message in sent}:
            versions = [message.version for message in found if message.stream == stream]
            assert list(dict.fromkeys(versions)) == [m.version for m in sent if m.stream == stream]

    def test_lane_of_a_stream_is_the_partition_that_its_events_go_to(
        self, join: Join, read: Callable[[str], Message]
    ) -> None:
        shop = join("shop", event_partitions=8)
        sent = [suite.event("orders", n, stream="ä" * n) for n in range(1, 60)]
        suite.publish(shop, *sent)
        records = [read("events.orders") for _ in sent]
        found = {(record.key() or b"").decode(): str(record.partition()) for record in records}
        assert found == {m.stream: shop.lane_of("orders", m.stream) for m in sent}
        assert len(set(found.values())) == 8

    def test_topic_of_one_partition_has_one_lane(self, join: Join) -> None:
        assert join("shop").lane_of("orders", "order-1") == ""

    def test_late_acknowledgement_commits_nothing_of_partitions_that_went_to_another(
        self, join: Join
    ) -> None:
        shop = join("shop", event_partitions=4)
        sent = [suite.event("orders", n, stream=f"order-{n}") for n in range(1, 41)]
        suite.publish(shop, *sent)
        slow = join("billing", listens_to=["orders"], event_partitions=4)
        held = suite.receive(slow, len(sent))
        other = join("billing", listens_to=["orders"], event_partitions=4)
        moved = set(suite.ids(share(slow, other)))
        slow.acknowledge(held)
        for receiver in (slow, other):
            receiver.close()
        # It would begin behind what the other was given, had that been committed.
        third = join("billing", listens_to=["orders"], event_partitions=4)
        assert moved
        assert moved <= set(suite.ids(suite.messages_of(suite.receive(third, len(sent)))))

    def test_acknowledgement_of_an_assignment_before_the_present_one_commits_nothing(
        self, join: Join
    ) -> None:
        shop = join("shop")
        sent = [suite.event("orders", n) for n in range(1, 11)]
        suite.publish(shop, *sent)
        slow = join("billing", listens_to=["orders"])
        held = suite.receive(slow, len(sent))
        other = join("billing", listens_to=["orders"])
        while not slow.receive(limit=500, timeout_seconds=0.1):
            if other.receive(limit=500, timeout_seconds=0.1):
                break  # whichever of them has the topic now, its assignment is a new one
        other.close()
        assert suite.messages_of(suite.receive(slow, len(sent)))[-len(sent) :] == sent
        slow.acknowledge(held)
        slow.close()
        third = join("billing", listens_to=["orders"])
        assert suite.messages_of(suite.receive(third, len(sent))) == sent


class TestOptions:
    @pytest.mark.parametrize(
        "name",
        ["sasl.pasword", "sasl.oauthbearer.method"],  # of this one librdkafka tells the value, too
    )
    def test_property_that_the_client_does_not_take_is_refused_without_its_value(
        self, make_broker: MakeBroker, name: str
    ) -> None:
        broker = make_broker("shop", security={name: "hunter2"})
        with pytest.raises(WhizbangError, match=name) as caught:
            broker.declare(Topology(service="shop", owns=[], listens_to=[]))
        assert "hunter2" not in f"{caught.value} {broker!r}"

    def test_missing_package_is_named(
        self, make_broker: MakeBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "confluent_kafka", None)
        with pytest.raises(WhizbangError, match=r"pip install django-whizbang\[kafka\]"):
            make_broker("shop")

    def test_receiving_before_declaring_is_refused_in_words(self, make_broker: MakeBroker) -> None:
        with pytest.raises(WhizbangError, match="declare"):
            make_broker("shop").receive(limit=1, timeout_seconds=0)


def take_in_turns(receivers: list[Broker], count: int) -> list[BrokerMessage]:
    """As many different ones, acknowledged as they come."""
    found: dict[UUID, BrokerMessage] = {}
    deadline = monotonic() + _PATIENCE_SECONDS
    while len(found) < count:
        assert monotonic() < deadline, f"{count - len(found)} did not come"
        for receiver in receivers:
            deliveries = receiver.receive(limit=200, timeout_seconds=0.1)
            receiver.acknowledge(deliveries)
            for message in suite.messages_of(deliveries):
                found.setdefault(message.message_id, message)
    return list(found.values())


def share(first: Broker, second: Broker) -> list[BrokerMessage]:
    """What the second gets once the first has noticed it; nothing is acknowledged."""
    deadline = monotonic() + _PATIENCE_SECONDS
    while monotonic() < deadline:
        first.receive(limit=500, timeout_seconds=0.1)
        if found := suite.messages_of(second.receive(limit=500, timeout_seconds=0.1)):
            return found
    raise AssertionError("the second got nothing")
