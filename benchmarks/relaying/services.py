"""Two services on databases of their own, with RabbitMQ between them."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from benchmarks import site
from benchmarks.databases import Database

FRONT, BENCH = "front", "bench"  # sends; owns the benchmarks' app and handles
URL = os.environ.get("BENCHMARK_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/%2F")
_PATIENCE_SECONDS = 60.0


def is_rabbitmq_there() -> bool:
    address = urlsplit(URL)
    try:
        socket.create_connection((address.hostname, address.port or 5672), timeout=3).close()
    except OSError:
        return False
    return True


def set_up(database: Database, service: str, prefix: str) -> None:
    """Be one of the two, in this process."""
    other = BENCH if service == FRONT else FRONT
    site.set_up(
        database,
        SERVICE=service,
        OWNS=[service],
        SERVICES={other: {"OWNS": [other]}},
        MODES={BENCH: "batched"},
        BROKERS={
            "default": {
                "BACKEND": "whizbang.drivers.brokers.rabbitmq.RabbitMQBroker",
                "OPTIONS": {"url": URL, "prefix": prefix},
            }
        },
    )


@contextmanager
def running_worker(database: Database, service: str, prefix: str) -> Iterator[None]:
    """A worker of one of them in a process of its own."""
    context = multiprocessing.get_context("spawn")
    is_stopping = context.Event()
    process = context.Process(
        target=_work, args=(database, service, prefix, is_stopping), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        is_stopping.set()
        process.join(_PATIENCE_SECONDS)
        if process.is_alive():
            process.kill()


def _work(database: Database, service: str, prefix: str, is_stopping: Any) -> None:
    set_up(database, service, prefix)
    from whizbang.operations.worker import Worker

    worker = Worker()

    def watch() -> None:
        is_stopping.wait()
        worker.stop()

    Thread(target=watch, daemon=True).start()
    worker.run()


def remove_queues(prefix: str) -> None:
    """All that the two have declared."""
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(URL))
    try:
        channel = connection.channel()
        for service in (FRONT, BENCH):
            channel.queue_delete(f"{prefix}.{service}")
            channel.queue_delete(f"{prefix}.{service}.events")
        for exchange in ("services", "events"):
            channel.exchange_delete(f"{prefix}.{exchange}")
    finally:
        connection.close()
