"""The brokers that the example's services talk by in a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from projects.example import services
from tests.conftest import demand, demand_packages
from tests.services import RABBITMQ_URL, REDIS_URL

_EVENT_PARTITIONS = 3  # of Kafka: a domain has no order there but that of each stream


@contextmanager
def broker_for_test(product: str, prefix: str) -> Iterator[str]:
    """Where it is; what was left there under the prefix is removed in the end. Skips when it is missing."""
    if product == "database":
        yield ""
    elif product == "kafka":
        with _kafka(prefix) as address:
            yield address
    else:
        demand(product)
        try:
            yield {"rabbitmq": RABBITMQ_URL, "redis": REDIS_URL}[product]
        finally:
            {"rabbitmq": _remove_from_rabbitmq, "redis": _remove_from_redis}[product](prefix)


@contextmanager
def _kafka(prefix: str) -> Iterator[str]:
    """The mock that is in librdkafka, in this process; what WHIZBANG_TEST_KAFKA names is left as it is used."""
    demand_packages("confluent_kafka", "noida_db")
    if named := os.environ.get("WHIZBANG_TEST_KAFKA"):
        yield named
        return
    from tests.drivers.brokers.kafka_server import MockCluster

    cluster = MockCluster(3)
    try:
        for service in services.SERVICES:  # each is a domain, too
            cluster.make_topic(f"{prefix}.service.{service}")
            cluster.make_topic(f"{prefix}.events.{service}", _EVENT_PARTITIONS)
        yield cluster.address
    finally:
        cluster.close()


def _remove_from_rabbitmq(prefix: str) -> None:
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ_URL))
    try:
        channel = connection.channel()
        for service in services.SERVICES:
            channel.queue_delete(f"{prefix}.{service}")
            channel.queue_delete(f"{prefix}.{service}.events")
        for name in ("services", "events"):
            channel.exchange_delete(f"{prefix}.{name}")
    finally:
        connection.close()


def _remove_from_redis(prefix: str) -> None:
    import redis

    client = redis.Redis.from_url(REDIS_URL)
    for key in client.scan_iter(f"{prefix}:*"):
        client.delete(key)
    client.close()
