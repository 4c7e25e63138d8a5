"""One trace from an HTTP request to the projection that hears of what another service made of it, over a broker."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from django.conf import settings

from projects.example import services
from tests.example.four_services import TYPES, FourServices, four_services
from tests.otlp_receiver import OtlpReceiver, SeenSpan, otlp_receiver
from tests.processes import PATIENCE_SECONDS, wait_until
from tests.services import SERVICES

BROKERS = {"sqlite": ["database", "redis"], "postgres": ["rabbitmq"]}.get(
    settings.DATABASE_KIND, []
)
GAUGES = [
    "whizbang.projection.lag",
    "whizbang.projection.lag_time",
    "whizbang.parked.count",
    "whizbang.inbox.pending.count",
    "whizbang.outbox.pending.count",
    "whizbang.outbox.oldest_age",
    "whizbang.dead_letter.count",
    "whizbang.broker.pending.count",
]
SECRET = "ada@example.com"  # a value in a payload


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as made:
        yield made


@pytest.fixture(params=BROKERS)
def shop(
    request: pytest.FixtureRequest, tmp_path: Path, receiver: OtlpReceiver
) -> Iterator[FourServices]:
    with four_services(request.param, tmp_path) as made:
        made.shared["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.endpoint
        made.shared["OTEL_METRIC_EXPORT_INTERVAL"] = "500"  # ms
        yield made


@contextmanager
def web_process(shop: FourServices) -> Iterator[str]:
    """The home page's address in the service of orders."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.example.web_process"],
        cwd=services.ROOT,
        env=services.environment_of("orders", shop.shared),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/"
            process.communicate(
                timeout=PATIENCE_SECONDS
            )  # what it has not exported yet is exported
        finally:
            process.kill()


def place_order(address: str) -> None:
    """As a browser does, by the form of the home page."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    page = browser.open(address).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token is not None
    form = {
        "csrfmiddlewaretoken": token[1],
        "order_id": "traced",
        "customer_id": SECRET,
        "quantity": 1,
        "amount": "12.00",
    }
    assert browser.open(address, urlencode(form).encode()).status == 200


class Trace:
    """The spans of the trace that the request has begun."""

    def __init__(self, spans: list[SeenSpan]) -> None:
        (self.request,) = (s for s in spans if s.kind == "SERVER" and s.name.startswith("POST"))
        self._spans = [span for span in spans if span.ids[0] == self.request.ids[0]]

    @property
    def spans(self) -> list[SeenSpan]:
        return self._spans

    def find(self, service: str, name: str) -> SeenSpan:
        found = [span for span in self._spans if (span.service, span.name) == (service, name)]
        assert len(found) == 1, [(span.service, span.name) for span in self._spans]
        return found[0]

    def operations(self, service: str, operation: str) -> list[SeenSpan]:
        return [
            span
            for span in self._spans
            if span.service == service
            and span.attributes.get("messaging.operation.name") == operation
        ]


def test_one_trace_runs_through_request_log_broker_and_two_services(
    shop: FourServices, receiver: OtlpReceiver
) -> None:
    with shop.running("orders", "inventory"):
        with web_process(shop) as address:
            place_order(address)
        wait_until(lambda: shop.report("orders")["statuses"] == {"reserved": 1})
        for service in ("orders", "inventory"):  # gauges are told while a worker runs
            wait_until(lambda: all(receiver.points(service, name) for name in GAUGES))  # noqa: B023
    trace = Trace(receiver.spans)

    process = trace.find("orders", "process orders.PlaceOrder")
    append = trace.find("orders", "append orders.Order")
    assert (process.parent, append.parent) == (trace.request.ids[1], process.ids[1])
    assert (trace.request.kind, process.kind, append.kind) == ("SERVER", "CONSUMER", "PRODUCER")

    heard = trace.find("inventory", "process inventory.reserve_what_was_ordered")
    create = trace.find("inventory", "create inventory.ReserveInventory")
    handled = trace.find("inventory", "process inventory.ReserveInventory")
    reserved = trace.find("inventory", "append inventory.Reservation")
    chain = [append, heard, create, handled, reserved]
    for cause, effect in zip(chain, chain[1:], strict=False):
        assert effect.parent == cause.ids[1], (cause.name, effect.name)
    assert [span.kind for span in chain] == [
        "PRODUCER",
        "CONSUMER",
        "PRODUCER",
        "CONSUMER",
        "PRODUCER",
    ]
    assert set(heard.links) == {append.ids}
    assert set(handled.links) == {create.ids}

    # The event of the other service, in the projection of the first.
    projected = [s for s in trace.spans if s.name == "process orders.OrderProgress"]
    assert {span.kind for span in projected} == {"CONSUMER"}
    assert append.ids in {ids for span in projected for ids in span.links}
    assert reserved.ids in {ids for span in projected for ids in span.links}

    check_broker(trace, shop.broker, "orders", "inventory", made=append)
    check_broker(trace, shop.broker, "inventory", "orders", made=reserved)
    assert not [span for span in receiver.spans if SECRET in span.document]
    assert not [span for span in trace.spans if "error.type" in span.attributes]
    check_metrics(receiver)


def check_broker(trace: Trace, broker: str, sender: str, listener: str, *, made: SeenSpan) -> None:
    """It was published, received and acknowledged in the trace, with what the conventions want to be known."""
    [publish] = (s for s in trace.operations(sender, "publish") if made.ids in s.links)
    [receive] = (s for s in trace.operations(listener, "receive") if made.ids in s.links)
    acks = [s for s in trace.operations(listener, "ack") if s.parent == receive.ids[1]]
    assert (publish.parent, receive.parent) == (made.ids[1], made.ids[1])
    assert acks, "nothing was acknowledged"
    expected = {"publish": "send", "receive": "receive", "ack": "settle"}
    for span in (publish, receive, *acks):
        assert span.kind == "CLIENT"
        attributes = span.attributes
        assert attributes["messaging.operation.type"] == expected[span.name.split()[0]]
        assert attributes["messaging.system"] == {"database": "whizbang"}.get(broker, broker)
        assert attributes["messaging.batch.message_count"] == 1
        assert span.name == f"{span.name.split()[0]} {attributes['messaging.destination.name']}"
        if broker in SERVICES:
            assert attributes["server.address"] == SERVICES[broker].host
            assert attributes["server.port"] == SERVICES[broker].port
    for span in (publish, receive):
        [known] = (about for ids, about in span.links.items() if ids == made.ids)
        assert known["whizbang.message.type"] == TYPES[sender]
        for name in ("messaging.message.id", "messaging.message.conversation_id"):
            assert known[name] == made.attributes[name]


def check_metrics(receiver: OtlpReceiver) -> None:
    stages = {
        point["whizbang.stage"] for point in receiver.points("orders", "whizbang.stage.duration")
    }
    assert {"Validate", "Transaction", "Handle", "Commit", "Outbox"} <= stages
    for metric in ("messaging.process.duration", "messaging.client.consumed.messages"):
        handled = {
            point["messaging.destination.name"] for point in receiver.points("inventory", metric)
        }
        assert {
            "inventory.ReserveInventory",
            "inventory.reserve_what_was_ordered",
        } <= handled, metric
    for metric in ("messaging.client.operation.duration", "messaging.client.sent.messages"):
        done = {point["messaging.operation.name"] for point in receiver.points("orders", metric)}
        assert {"append", "publish"} <= done, metric
    lags = receiver.points("orders", "whizbang.projection.lag")
    assert {"orders.OrderProgress", "whizbang.topic.orders"} <= {
        point["whizbang.subscription.name"] for point in lags
    }
    assert {
        point["whizbang.message.status"]
        for point in receiver.points("inventory", "whizbang.inbox.pending.count")
    } == {"stored", "running", "retrying"}
