"""Our sinks pass the suite that every sink passes."""

from __future__ import annotations

import pytest
from django.conf import settings

from tests.elasticsearch_server import free_port
from whizbang.drivers.sinks.base import Sink
from whizbang.drivers.sinks.elasticsearch import ElasticsearchSink
from whizbang.drivers.sinks.memory import MemorySink
from whizbang.drivers.sinks.redis import RedisSink
from whizbang.testing.conformance.sink import SinkContract


class TestMemorySink(SinkContract):
    @pytest.fixture
    def sink(self) -> Sink:
        return MemorySink("memory")

    @pytest.fixture
    def unreachable(self) -> Sink:
        return MemorySink("memory")


@pytest.mark.requires_redis
class TestRedisSink(SinkContract):
    @pytest.fixture
    def sink(self, redis_url: str) -> Sink:
        return RedisSink("redis", {"url": redis_url, "prefix": f"{settings.RUN_ID}:"})

    @pytest.fixture
    def unreachable(self) -> Sink:
        return RedisSink("redis", {"url": f"redis://ada:secret@127.0.0.1:{free_port()}/0"})


class TestElasticsearchSink(SinkContract):
    @pytest.fixture
    def sink(self, elasticsearch_url: str) -> Sink:
        options = {"url": elasticsearch_url, "prefix": f"whizbang-{settings.RUN_ID}-"}
        return ElasticsearchSink("search", options)

    @pytest.fixture
    def unreachable(self, elasticsearch_url: str) -> Sink:
        options = {"url": f"http://ada:secret@127.0.0.1:{free_port()}"}
        return ElasticsearchSink("search", options)
