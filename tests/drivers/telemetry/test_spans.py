"""Spans and metrics as an OpenTelemetry SDK gets them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from tests.collected import Collected, collecting, ids_of, linked_to
from whizbang.drivers.telemetry import telemetry
from whizbang.drivers.telemetry.operations import (
    Moment,
    Operation,
    OperationType,
    Server,
    subject_of,
    telling,
)

ONE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"
PROCESS = Operation(name="process", type=OperationType.PROCESS, destination="shop.Numbers")


def place_of(traceparent: str) -> tuple[int, int]:
    _, trace_id, span_id, _ = traceparent.split("-")
    return int(trace_id, 16), int(span_id, 16)


def test_span_of_messages_of_one_trace_is_in_it(collected: Collected) -> None:
    subjects = [subject_of(number, "c", ONE) for number in range(2)]
    with telling(PROCESS, subjects, count=2) as traceparent:
        pass
    (span,) = collected.spans
    assert (span.name, span.kind) == ("process shop.Numbers", SpanKind.CONSUMER)
    assert span.context.trace_id == place_of(ONE)[0]
    assert span.parent is not None and span.parent.span_id == place_of(ONE)[1]
    assert place_of(traceparent or "") == ids_of(span)
    assert [link.attributes for link in span.links] == [
        {"messaging.message.id": str(number), "messaging.message.conversation_id": "c"}
        for number in range(2)
    ]
    assert span.attributes == {
        "messaging.system": "whizbang",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "shop.Numbers",
        "messaging.batch.message_count": 2,
    }


def test_span_of_messages_of_several_traces_is_linked_to_each(collected: Collected) -> None:
    with telling(PROCESS, [subject_of(1, 1, ONE), subject_of(2, 2, OTHER)], count=2):
        pass
    (span,) = collected.spans
    assert span.parent is None
    assert linked_to(span) == {place_of(ONE), place_of(OTHER)}


def test_span_inside_another_one_is_its_child_and_linked(collected: Collected) -> None:
    """As in a Celery task, whose own span is open."""
    with trace.get_tracer("celery").start_as_current_span("run/task") as outer:
        with telling(PROCESS, [subject_of(1, 1, ONE)], count=1):
            pass
    span = collected.named("process shop.Numbers")
    assert span.parent is not None
    assert span.parent.span_id == outer.get_span_context().span_id
    assert linked_to(span) == {place_of(ONE)}


def test_span_is_not_linked_to_its_own_parent(collected: Collected) -> None:
    with (
        telling(PROCESS, (), count=0) as outer,
        telling(PROCESS, [subject_of(1, 1, outer)], count=1),
    ):
        pass
    assert [span.links for span in collected.spans] == [(), ()]


def test_what_is_known_of_an_only_message_is_said_of_its_span(collected: Collected) -> None:
    with telling(PROCESS, [subject_of("m", "c", None)], count=1):
        pass
    (span,) = collected.spans
    assert span.attributes is not None
    assert span.attributes["messaging.message.id"] == "m"
    assert span.attributes["messaging.message.conversation_id"] == "c"
    assert span.links == ()


def test_of_an_error_only_its_class_is_told(collected: Collected) -> None:
    with pytest.raises(ValueError), telling(PROCESS, (), count=1):
        raise ValueError("card 4111 1111")
    (span,) = collected.spans
    assert span.attributes is not None and span.attributes["error.type"] == "ValueError"
    assert span.status.status_code is StatusCode.ERROR
    assert "4111" not in span.to_json()
    (point,) = collected.points("messaging.process.duration")
    assert point.attributes["error.type"] == "ValueError"


def test_span_may_have_begun_before_its_block(collected: Collected) -> None:
    started = Moment.now()
    with telling(PROCESS, (), count=1, started=started):
        pass
    assert collected.spans[0].start_time == started.wall_ns


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"destination": "x"}, "publish x"),
        ({"destination": "x", "server": Server("broker", 5672)}, "publish x"),
        ({"server": Server("broker", 5672)}, "publish broker:5672"),
        ({"server": Server("/tmp/socket")}, "publish /tmp/socket"),
        ({}, "publish"),
    ],
)
def test_span_is_named_by_its_destination_else_by_the_server(
    known: dict[str, Any], expected: str
) -> None:
    assert Operation(name="publish", type=OperationType.SEND, **known).span_name == expected


def test_messages_are_counted_and_times_recorded(collected: Collected) -> None:
    publish = Operation(
        name="publish",
        type=OperationType.SEND,
        destination="x",
        system="rabbitmq",
        server=Server("broker", 5672),
    )
    for _ in range(2):
        with telling(publish, (), count=3):
            pass
    with telling(PROCESS, (), count=5):
        pass
    (sent,) = collected.points("messaging.client.sent.messages")
    assert sent.value == 6
    assert sent.attributes == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": "x",
        "server.address": "broker",
        "server.port": 5672,
    }
    (duration,) = collected.points("messaging.client.operation.duration")
    assert duration.count == 2
    assert duration.attributes == sent.attributes
    assert duration.explicit_bounds[0] == 0.005
    (consumed,) = collected.points("messaging.client.consumed.messages")
    assert consumed.value == 5


class Broken(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("The processor is broken.")

    def on_end(self, span: Any) -> None:
        raise RuntimeError("The processor is broken.")


class BrokenAtTheEnd(SpanProcessor):
    def on_end(self, span: Any) -> None:
        raise RuntimeError("The processor is broken.")


@pytest.mark.parametrize("processor", [Broken(), BrokenAtTheEnd()])
def test_telemetry_that_fails_fails_nothing_else(
    collected: Collected, processor: SpanProcessor, caplog: pytest.LogCaptureFixture
) -> None:
    collected.add_processor(processor)
    done = False
    with caplog.at_level(logging.ERROR), telling(PROCESS, (), count=1):
        done = True
    assert done
    assert "Telemetry failed" in caplog.text
    assert not trace.get_current_span().get_span_context().is_valid


def test_subjects_that_cannot_be_made_fail_nothing_else(
    collected: Collected, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Iterator[Any]:
        yield subject_of(1, 1, "no traceparent at all")
        raise KeyError("nothing")

    with caplog.at_level(logging.ERROR), telling(PROCESS, broken(), count=1) as traceparent:
        pass
    assert traceparent is None
    assert "Telemetry failed" in caplog.text


def test_it_is_enabled_where_spans_or_metrics_are_collected() -> None:
    assert not telemetry.is_enabled()
    for choice in ({"spans": False}, {"metrics": False}, {}):
        with collecting(**choice):
            assert telemetry.is_enabled()
    assert not telemetry.is_enabled()
