"""Brokers by TLS: whom they trust, how they show who they are, and what errors say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.conf import settings

from tests.conftest import demand_program
from tests.drivers.brokers.tls import Certificate, make_certificate, tls_before
from tests.example.brokers import broker_for_test
from whizbang.drivers.brokers.base import Broker, BrokerUnavailable, Topology
from whizbang.drivers.brokers.rabbitmq import RabbitMQBroker
from whizbang.drivers.brokers.redis import RedisBroker
from whizbang.testing.conformance import broker as suite

TOPOLOGY = Topology(service="orders", owns=["orders"], listens_to=["inventory"])


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    demand_program("openssl")
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="session")
def server(folder: Path) -> Certificate:
    return make_certificate(folder, "server")


@pytest.fixture(scope="session")
def client(folder: Path) -> Certificate:
    return make_certificate(folder, "client")


class Secured:
    """One product, and what stands before it."""

    def __init__(self, product: str, url: str, prefix: str) -> None:
        self.product, self._url, self._prefix = product, url, prefix
        self.stack = ExitStack()

    def connect(
        self,
        presented: Certificate,
        *,
        ca: Path,
        clients: Path | None = None,
        mine: Certificate | None = None,
        **options: Any,
    ) -> Broker:
        """By TLS to a server that presents a certificate, trusting `ca`."""
        make = {"rabbitmq": self._rabbitmq, "redis": self._redis, "kafka": self._kafka}
        broker = make[self.product](Front(self.stack, presented, clients), ca, mine, options)
        self.stack.callback(broker.close)
        return broker

    def _rabbitmq(
        self, front: Front, ca: Path, mine: Certificate | None, options: Mapping[str, Any]
    ) -> Broker:
        tls = {"ca": str(ca)} | ({"cert": str(mine.cert), "key": str(mine.key)} if mine else {})
        return RabbitMQBroker(
            using="default",
            options={"url": front.before(self._url), "prefix": self._prefix, "tls": tls, **options},
        )

    def _redis(
        self, front: Front, ca: Path, mine: Certificate | None, options: Mapping[str, Any]
    ) -> Broker:
        url = front.before(self._url).replace("redis://", "rediss://") + f"?ssl_ca_certs={ca}"
        url += f"&ssl_certfile={mine.cert}&ssl_keyfile={mine.key}" if mine else ""
        return RedisBroker(using="default", options={"url": url, "prefix": self._prefix, **options})

    def _kafka(
        self, front: Front, ca: Path, mine: Certificate | None, options: Mapping[str, Any]
    ) -> Broker:
        from whizbang.drivers.brokers.kafka import KafkaBroker

        security = {"security.protocol": "ssl", "ssl.ca.location": str(ca)}
        if mine is not None:
            security["ssl.certificate.location"] = str(mine.cert)
            security["ssl.key.location"] = str(mine.key)
        servers = ",".join(front.before(f"//{server}")[2:] for server in self._url.split(","))
        return KafkaBroker(
            using="default",
            options={
                "bootstrap_servers": servers,
                "prefix": self._prefix,
                "security": security,
                **options,
            },
        )


class Front:
    """Ends TLS before every server of a product. Where one tells of others, it tells of these ports."""

    def __init__(self, stack: ExitStack, presented: Certificate, clients: Path | None) -> None:
        self._stack, self._presented, self._clients = stack, presented, clients
        self._ports: dict[int, int] = {}

    def before(self, url: str) -> str:
        parts = urlsplit(url)
        assert parts.hostname == "127.0.0.1" and parts.port
        ended = tls_before(
            parts.port, self._presented, clients=self._clients, change=self._change_ports
        )
        self._ports[parts.port] = port = self._stack.enter_context(ended)
        return url.replace(f":{parts.port}", f":{port}")

    def _change_ports(self, said: bytes) -> bytes:
        """As Kafka writes an address: the name, and the port in four bytes."""
        for real, own in self._ports.items():
            said = said.replace(_address(real), _address(own))
        return said


def _address(port: int) -> bytes:
    return b"127.0.0.1" + port.to_bytes(4, "big")


@pytest.fixture(params=["rabbitmq", "redis", "kafka"])
def secured(request: pytest.FixtureRequest) -> Iterator[Secured]:
    prefix = f"whizbang-{settings.RUN_ID}-{uuid4().hex[:8]}"
    with broker_for_test(request.param, prefix) as url:
        made = Secured(request.param, url, prefix)
        with made.stack:
            yield made


def check_messages_pass(broker: Broker) -> None:
    sent = suite.command("orders")
    broker.declare(TOPOLOGY)
    suite.publish(broker, sent)
    assert suite.take(broker, 1) == [sent]


def refused(work: Callable[[], object]) -> str:
    """Why a broker is not available."""
    with pytest.raises(BrokerUnavailable) as caught:
        work()
    return str(caught.value)


def test_messages_pass_where_the_authority_is_trusted(
    secured: Secured, server: Certificate
) -> None:
    check_messages_pass(secured.connect(server, ca=server.ca))


def test_server_of_another_authority_is_refused(
    secured: Secured, server: Certificate, client: Certificate
) -> None:
    broker = secured.connect(server, ca=client.ca, timeout_seconds=3)
    assert "certificate" in refused(lambda: broker.declare(TOPOLOGY)).lower()


def test_certificate_of_another_host_is_refused(secured: Secured, folder: Path) -> None:
    elsewhere = make_certificate(folder, "elsewhere", hosts="DNS:elsewhere.example")
    broker = secured.connect(elsewhere, ca=elsewhere.ca, timeout_seconds=3)
    assert "certificate" in refused(lambda: broker.declare(TOPOLOGY)).lower()


def test_server_that_asks_who_we_are_is_shown_our_certificate(
    secured: Secured, server: Certificate, client: Certificate
) -> None:
    clients = client.ca
    nameless = secured.connect(server, ca=server.ca, clients=clients, timeout_seconds=3)
    refused(lambda: nameless.declare(TOPOLOGY))
    check_messages_pass(secured.connect(server, ca=server.ca, clients=clients, mine=client))
