"""Servers that speak Kafka's protocol: noida-db, and the mock of a cluster that is in librdkafka."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka.admin import AdminClient

from tests.noida_server import free_port, noida_server
from tests.processes import freeze, thaw, wait_until

PRODUCE, OFFSET_COMMIT = 0, 8  # requests, as the protocol numbers them
_PRODUCER = 0


class OwnServer:
    """A server of one test's own, that it may freeze."""

    def __init__(self, address: str, process: Any) -> None:
        self.address, self._process = address, process

    def freeze(self) -> None:
        freeze(self._process)

    def thaw(self) -> None:
        thaw(self._process)


@contextmanager
def kafka_server() -> Iterator[OwnServer]:
    port = free_port()
    address = f"127.0.0.1:{port}"
    with noida_server("kafka", port) as process:
        wait_until(lambda: _answers(address))
        server = OwnServer(address, process)
        try:
            yield server
        finally:
            server.thaw()


def _answers(address: str) -> bool:
    try:
        # It logs that nobody answers yet, which is no news here.
        admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
        return bool(admin.list_topics(timeout=1).brokers)
    except confluent_kafka.KafkaException:
        return False


class MockCluster:
    """librdkafka's mock: any number of brokers and partitions, and the errors one asks for; it makes no
    topics over the protocol.

    Its functions are not among those of confluent_kafka, so they are called in the library that it loaded.
    """

    def __init__(self, brokers: int) -> None:
        self._library = _loaded_library()
        self._handle = self._library.rd_kafka_new(_PRODUCER, None, None, 0)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._handle, brokers)
        self._brokers = range(1, brokers + 1)
        self.address = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 100)

    def make_topic(self, name: str, partitions: int = 1) -> None:
        self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)

    def lose_topic(self, name: str) -> None:
        """It is not told of any more, and takes nothing."""
        unknown = confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART
        self._library.rd_kafka_mock_topic_set_error(self._cluster, name.encode(), unknown)
        self.fail(PRODUCE, *[unknown] * 20)

    def fail(self, request: int, *codes: int) -> None:
        """The next requests of a kind are answered with these errors, one each."""
        errors = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(request), ctypes.c_size_t(len(codes)), errors
        )

    def go_down(self) -> None:
        for broker in self._brokers:
            self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def come_up(self) -> None:
        for broker in self._brokers:
            self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def close(self) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)


def _loaded_library() -> Any:
    maps = Path("/proc/self/maps").read_text().splitlines()
    path = next(line.split()[-1] for line in maps if "librdkafka" in line)
    library = ctypes.CDLL(path)
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    library.rd_kafka_new.restype = pointer
    library.rd_kafka_new.argtypes = [ctypes.c_int, pointer, pointer, ctypes.c_size_t]
    library.rd_kafka_mock_cluster_new.restype = pointer
    library.rd_kafka_mock_cluster_new.argtypes = [pointer, ctypes.c_int]
    library.rd_kafka_mock_cluster_bootstraps.restype = text
    library.rd_kafka_mock_cluster_bootstraps.argtypes = [pointer]
    library.rd_kafka_mock_topic_create.argtypes = [pointer, text, ctypes.c_int, ctypes.c_int]
    library.rd_kafka_mock_topic_set_error.argtypes = [pointer, text, ctypes.c_int]
    library.rd_kafka_mock_push_request_errors_array.argtypes = [
        pointer,
        ctypes.c_int16,
        ctypes.c_size_t,
        pointer,
    ]
    for name in ("broker_set_down", "broker_set_up", "group_initial_rebalance_delay_ms"):
        getattr(library, f"rd_kafka_mock_{name}").argtypes = [pointer, ctypes.c_int32]
    for name in ("mock_cluster_destroy", "destroy"):
        getattr(library, f"rd_kafka_{name}").argtypes = [pointer]
    return library
