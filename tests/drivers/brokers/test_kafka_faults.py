"""Kafka when the cluster says no, is away, or does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest
from confluent_kafka import KafkaError

from tests.drivers.brokers.kafka_server import (
    OFFSET_COMMIT,
    PRODUCE,
    MockCluster,
    OwnServer,
    kafka_server,
)
from whizbang.drivers.brokers.base import Broker, BrokerUnavailable, Topology
from whizbang.drivers.brokers.kafka import KafkaBroker
from whizbang.testing.conformance import broker as suite

_LIMIT_SECONDS = 2.0
_SLACK_SECONDS = 2.0  # for threads to end, on a machine that does much else
_TOPOLOGY = Topology(service="billing", owns=["orders"], listens_to=["orders"])

_Connect = Callable[..., Broker]


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    cluster = MockCluster(3)
    cluster.make_topic("whizbang.service.billing")
    cluster.make_topic("whizbang.events.orders", 12)
    yield cluster
    cluster.close()


@pytest.fixture
def server() -> Iterator[OwnServer]:
    with kafka_server() as server:
        yield server


@pytest.fixture
def connect() -> Iterator[Callable[..., Broker]]:
    """A broker at an address, declared, and closed after the test."""
    made: list[Broker] = []

    def connect(at: MockCluster | OwnServer, **options: Any) -> Broker:
        # The mock lets the next member of a group wait for the session of the one that left.
        options = {"timeout_seconds": _LIMIT_SECONDS, "session_timeout_seconds": 6, **options}
        broker = KafkaBroker(using="default", options={"bootstrap_servers": at.address, **options})
        made.append(broker)
        broker.declare(_TOPOLOGY)
        return broker

    yield connect
    for broker in made:
        broker.close()


class TestPublishing:
    def test_retries_inside_the_producer_neither_double_nor_reorder(
        self, cluster: MockCluster, connect: _Connect
    ) -> None:
        # Small requests, so that several are on their way when one of them fails.
        broker = connect(cluster, timeout_seconds=20, security={"batch.num.messages": 20})
        sent = [suite.event("orders", n, stream="order-1") for n in range(1, 3001)]
        for start in range(0, len(sent), 500):
            cluster.fail(
                PRODUCE,
                KafkaError.NOT_ENOUGH_REPLICAS,
                KafkaError.NO_ERROR,
                KafkaError.REQUEST_TIMED_OUT,
            )
            suite.publish(broker, *sent[start : start + 500])
        assert suite.ids(suite.take(broker, len(sent))) == suite.ids(sent)

    def test_streams_keep_their_order_in_partitions_of_several_brokers(
        self, cluster: MockCluster, connect: _Connect
    ) -> None:
        broker = connect(cluster, timeout_seconds=20)
        sent = [suite.event("orders", n, stream=f"order-{n % 40}") for n in range(1, 3001)]
        for start in range(0, len(sent), 500):
            suite.publish(broker, *sent[start : start + 500])
        found = suite.take(broker, len(sent))
        assert len(found) == len(sent)
        for stream in {message.stream for message in sent}:
            expected = [m.version for m in sent if m.stream == stream]
            assert [m.version for m in found if m.stream == stream] == expected

    def test_full_local_queue_is_waited_for(self, cluster: MockCluster, connect: _Connect) -> None:
        broker = connect(cluster, timeout_seconds=20, security={"queue.buffering.max.messages": 50})
        sent = [suite.event("orders", n) for n in range(1, 1001)]
        suite.publish(broker, *sent)
        assert len(suite.take(broker, len(sent))) == len(sent)

    def test_what_a_cluster_that_is_away_did_not_get_does_not_come_later(
        self, cluster: MockCluster, connect: _Connect
    ) -> None:
        broker = connect(cluster)
        suite.publish(broker, suite.command("billing", 1))  # it is connected
        cluster.go_down()
        with pytest.raises(BrokerUnavailable):
            broker.publish([suite.command("billing", n) for n in range(2, 5)])
        cluster.come_up()
        patient = connect(cluster, timeout_seconds=20)
        last = suite.command("billing", 9)
        suite.publish(broker, last)
        payloads = [message.payload for message in suite.take(patient, 2)]
        assert payloads == [b'{"number":1}', b'{"number":9}']

    def test_cluster_that_does_not_answer_ends_within_the_time_and_order_holds_afterwards(
        self, server: OwnServer, connect: _Connect
    ) -> None:
        broker = connect(server)
        sent = [suite.event("orders", n, stream="order-1") for n in range(1, 301)]
        suite.publish(broker, *sent[:100])
        server.freeze()
        began = monotonic()
        with pytest.raises(BrokerUnavailable):
            broker.publish(sent[100:200])
        assert monotonic() - began < _LIMIT_SECONDS + _SLACK_SECONDS
        server.thaw()
        suite.publish(broker, *sent[100:200])
        suite.publish(broker, *sent[200:])
        # What was on its way when time was over may come twice; the first copies are in order.
        found: dict[int, None] = {}
        while len(found) < len(sent):
            found |= dict.fromkeys(m.position for m in suite.take(broker, 1))
        assert list(found) == [message.position for message in sent]

    def test_topic_that_takes_less_than_we_refuse_is_told_of_one_message_at_a_time(
        self, cluster: MockCluster, connect: _Connect
    ) -> None:
        broker = connect(cluster)
        sent = [suite.command("billing", n) for n in range(5)]
        cluster.fail(PRODUCE, KafkaError.MSG_SIZE_TOO_LARGE)
        with pytest.raises(BrokerUnavailable, match="too large"):
            broker.publish(sent)  # a request of five: whose fault it is, nobody says
        cluster.fail(PRODUCE, KafkaError.MSG_SIZE_TOO_LARGE)
        published = broker.publish(sent)
        (refused,) = published.refused
        assert published.confirmed == set(suite.ids(sent)) - {refused}
        assert "large" in published.refused[refused]

    def test_commands_for_a_topic_that_is_gone_are_refused_once_the_cluster_says_so(
        self, cluster: MockCluster, connect: _Connect
    ) -> None:
        broker, lost = connect(cluster), suite.command("billing")
        suite.publish(broker, suite.command("billing"))
        cluster.lose_topic("whizbang.service.billing")
        with pytest.raises(BrokerUnavailable, match="[Uu]nknown"):
            broker.publish([lost])
        published = broker.publish([lost])
        assert "does not exist" in published.refused[lost.message_id]

    def test_error_of_the_cluster_is_told(self, cluster: MockCluster, connect: _Connect) -> None:
        broker = connect(cluster)
        cluster.fail(PRODUCE, KafkaError.TOPIC_AUTHORIZATION_FAILED)
        with pytest.raises(BrokerUnavailable, match="authorization"):
            broker.publish([suite.command("billing")])


class TestReceiving:
    def test_offsets_that_the_group_does_not_take_any_more_come_again(
        self, cluster: MockCluster, connect: _Connect
    ) -> None:
        broker, sent = connect(cluster), suite.command("billing")
        suite.publish(broker, sent)
        held = suite.receive(broker, 1)
        cluster.fail(OFFSET_COMMIT, KafkaError.ILLEGAL_GENERATION)
        broker.acknowledge(held)
        assert suite.take(broker, 1) == [sent]

    def test_commit_that_fails_is_told_and_the_message_comes_again(
        self, cluster: MockCluster, connect: _Connect
    ) -> None:
        broker, sent = connect(cluster), suite.command("billing")
        suite.publish(broker, sent)
        held = suite.receive(broker, 1)
        cluster.fail(OFFSET_COMMIT, KafkaError.GROUP_AUTHORIZATION_FAILED)
        with pytest.raises(BrokerUnavailable, match="authorization"):
            broker.acknowledge(held)
        assert suite.take(broker, 1) == [sent]

    @pytest.mark.soak
    def test_cluster_that_goes_away_is_told_and_found_again(
        self, cluster: MockCluster, connect: _Connect
    ) -> None:
        broker, sent = connect(cluster), suite.command("billing")
        broker.receive(limit=1, timeout_seconds=0.5)
        cluster.go_down()
        with pytest.raises(BrokerUnavailable):
            for _ in range(20):
                broker.receive(limit=1, timeout_seconds=1)
        cluster.come_up()
        other = connect(cluster, timeout_seconds=20)
        suite.publish(other, sent)
        assert suite.take(broker, 1) == [sent]

    def test_acknowledging_and_closing_end_in_time_when_nobody_answers(
        self, server: OwnServer, connect: _Connect
    ) -> None:
        broker, sent = connect(server), suite.command("billing")
        suite.publish(broker, sent)
        held = suite.receive(broker, 1)
        server.freeze()
        began = monotonic()
        with pytest.raises(BrokerUnavailable, match="commit"):
            broker.acknowledge(held)
        broker.close()
        # One limit for the commit and one for leaving the group.
        assert monotonic() - began < 2 * _LIMIT_SECONDS + _SLACK_SECONDS
