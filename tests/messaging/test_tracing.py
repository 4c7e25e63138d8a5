"""One trace from who sends to who handles, through log, queue and broker, as an OpenTelemetry SDK gets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock
from uuid import uuid4

import msgspec
import pytest
from django.db import connection
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind
from pytest_django import Settings

import whizbang
from tests.collected import Collected, collecting, ids_of, linked_to
from tests.drivers.telemetry.test_spans import Broken
from tests.messaging.test_services import command, event
from tests.shop.messages import (
    CallElsewhere,
    CloseOrder,
    HappenedElsewhere,
    NoteOrder,
    OpenOrder,
    OrderNoted,
    ShipOrder,
)
from tests.shop.models import OrderSummary
from whizbang import ConcurrencyError, Context, handles, subscribes
from whizbang.drivers.brokers.base import BrokerMessage, Delivery, Topology
from whizbang.drivers.brokers.in_process import InProcessBroker
from whizbang.drivers.telemetry import telemetry
from whizbang.models import InboxMessage
from whizbang.operations.worker import Worker

pytestmark = pytest.mark.django_db
Drain = Callable[..., Any]
PROJECTION = "process shop.OrderSummaries"


def ids_in(traceparent: str | None) -> tuple[int, int]:
    assert traceparent is not None
    _, trace_id, span_id, _ = traceparent.split("-")
    return int(trace_id, 16), int(span_id, 16)


def origins_of(stream: str) -> list[tuple[int, int]]:
    """Which span each event of a stream was made in."""
    rows = whizbang.event_store().read_stream(stream)
    return [ids_in(recorded.meta.traceparent) for recorded in rows]


def in_request(action: Callable[[], Any]) -> tuple[int, int]:
    """Do something as a request does, and give its span."""
    with trace.get_tracer("web").start_as_current_span("POST /", kind=SpanKind.SERVER) as span:
        action()
    return span.get_span_context().trace_id, span.get_span_context().span_id


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


class TestHere:
    def test_append_is_a_part_of_the_command_that_is_a_part_of_the_request(
        self, collected: Collected
    ) -> None:
        request = in_request(lambda: whizbang.send(OpenOrder(order_id="1")))
        process = collected.named("process shop.OpenOrder")
        append = collected.named("append shop.Order")
        assert (process.context.trace_id, parent_of(process)) == request
        assert parent_of(append) == process.context.span_id
        assert (process.kind, append.kind) == (SpanKind.CONSUMER, SpanKind.PRODUCER)
        assert origins_of("shop.Order-1") == [ids_of(append)]
        [recorded] = whizbang.event_store().read_stream("shop.Order-1")
        assert append.attributes == {
            "messaging.system": "whizbang",
            "messaging.operation.name": "append",
            "messaging.operation.type": "create",
            "messaging.destination.name": "shop.Order",
            "messaging.batch.message_count": 1,
            "messaging.message.id": str(recorded.meta.message_id),
            "messaging.message.conversation_id": str(recorded.meta.correlation_id),
            "whizbang.message.type": "shop.OrderOpened",
            "whizbang.store": "default",
        }

    def test_durable_command_is_handled_in_the_trace_of_its_sender(
        self, collected: Collected, drain: Drain
    ) -> None:
        request = in_request(lambda: whizbang.publish(OpenOrder(order_id="1")))
        drain()
        create = collected.named("create shop.OpenOrder")
        process = collected.named("process shop.OpenOrder")
        assert (create.context.trace_id, parent_of(create)) == request
        assert create.kind is SpanKind.PRODUCER
        assert (process.context.trace_id, parent_of(process)) == ids_of(create)
        assert linked_to(process) == {ids_of(create)}

    def test_projection_is_in_the_trace_of_the_only_event(
        self, collected: Collected, drain: Drain
    ) -> None:
        whizbang.send(OpenOrder(order_id="1"))
        drain()
        append, process = collected.named("append shop.Order"), collected.named(PROJECTION)
        assert (process.context.trace_id, parent_of(process)) == ids_of(append)
        assert linked_to(process) == {ids_of(append)}
        assert process.attributes is not None
        assert (
            process.attributes["messaging.destination.subscription.name"] == "shop.OrderSummaries"
        )
        assert process.attributes["messaging.batch.message_count"] == 1

    def test_projection_of_many_is_linked_to_each(self, collected: Collected, drain: Drain) -> None:
        for number in range(3):
            whizbang.send(OpenOrder(order_id=str(number)))
        drain()
        process = collected.named(PROJECTION)
        assert process.parent is None
        assert linked_to(process) == {
            ids_of(span) for span in collected.spans if span.name == "append shop.Order"
        }
        found = {
            link.attributes["messaging.message.id"] for link in process.links if link.attributes
        }
        rows = whizbang.event_store().read_all()
        assert found == {str(recorded.meta.message_id) for recorded in rows}

    def test_event_that_parks_its_stream_is_told_with_its_error(
        self, collected: Collected, drain: Drain
    ) -> None:
        whizbang.send(NoteOrder(order_id="1", text="poison"))
        drain()
        found = [span for span in collected.spans if span.name == PROJECTION]
        assert {span.attributes["error.type"] for span in found if span.attributes} == {
            "ValueError"
        }
        assert "cannot be projected" not in "".join(span.to_json() for span in found)

    def test_what_a_subscriber_sends_stays_in_the_trace_of_its_event(
        self, collected: Collected, drain: Drain
    ) -> None:
        """Though it is one batch, and its commands are stored together."""
        for number in range(3):
            whizbang.send(OpenOrder(order_id=str(number), customer_id="ship me"))
        drain()
        appends = {ids_of(span)[0] for span in collected.spans if span.name == "append shop.Order"}
        ships = [span for span in collected.spans if span.name == "process shop.ShipOrder"]
        heard = [span for span in collected.spans if span.name == "process shop.hear_opened"]
        assert len(ships) == len(heard) == 3
        assert {span.context.trace_id for span in ships} == appends
        assert {parent_of(span) for span in ships} == {span.context.span_id for span in heard}
        create = collected.named("create shop.ShipOrder")
        assert linked_to(create) == {ids_of(span) for span in heard}

    def test_batched_commands_keep_their_traces_through_one_append(
        self, collected: Collected, drain: Drain, settings: Settings
    ) -> None:
        settings.WHIZBANG = {**settings.WHIZBANG, "MODES": {"shop": "batched"}}
        requests = [
            in_request(lambda n=n: whizbang.publish_batch([OpenOrder(order_id=str(n))]))  # type: ignore[misc]
            for n in range(3)
        ]
        drain()
        append = collected.named("append shop.Order")
        process = [span for span in collected.spans if span.name == "process shop.OpenOrder"]
        assert linked_to(append) == {ids_of(span) for span in process}
        for number, request in enumerate(requests):
            [origin] = origins_of(f"shop.Order-{number}")
            assert origin[0] == request[0]
            assert origin in {ids_of(span) for span in process}

    @pytest.mark.django_db(transaction=True)
    def test_second_attempt_is_no_part_of_the_first(
        self, collected: Collected, isolated_registry: None
    ) -> None:
        attempts: list[int] = []

        @handles(CallHere)
        def handle(command: CallHere, context: Context) -> None:
            attempts.append(1)
            if len(attempts) == 1:
                raise ConcurrencyError("shop.Order-1", 0, 1)

        in_request(lambda: whizbang.send(CallHere()))
        first, second = (s for s in collected.spans if s.name.startswith("process"))
        assert parent_of(first) == parent_of(second)
        assert second.links == ()

    def test_message_that_is_handled_inside_another_one_is_in_its_span(
        self, collected: Collected, drain: Drain
    ) -> None:
        in_request(lambda: whizbang.send(CloseOrder(order_id="1")))
        drain()
        outer = collected.named("process shop.CloseOrder")
        assert parent_of(collected.named("process shop.OpenOrder")) == outer.context.span_id
        assert parent_of(collected.named("create shop.ShipOrder")) == outer.context.span_id
        assert {span.context.trace_id for span in collected.spans if "process" in span.name} == {
            outer.context.trace_id
        }

    def test_events_that_are_appended_without_a_handler_carry_their_span(
        self, collected: Collected
    ) -> None:
        store = whizbang.event_store()
        noted = OrderNoted(order_id="1", text="a")
        in_request(lambda: store.append("shop.Order-1", [noted, noted]))
        append = collected.named("append shop.Order")
        assert origins_of("shop.Order-1") == [ids_of(append)] * 2
        assert append.attributes is not None
        assert append.attributes["messaging.batch.message_count"] == 2

    def test_imported_events_carry_their_span(self, collected: Collected) -> None:
        events = [("shop.Order-1", OrderNoted(order_id="1", text=str(n))) for n in range(2)]
        whizbang.event_store().import_events(events)
        assert origins_of("shop.Order-1") == [ids_of(collected.named("append shop.Order"))] * 2

    def test_append_to_several_categories_is_named_by_none(self, collected: Collected) -> None:
        append = whizbang.event_store().append_many
        noted = OrderNoted(order_id="1", text="a")
        append([whizbang.store.event_store.StreamAppend(s, [noted]) for s in ("one-1", "two-1")])
        assert collected.names == ["append"]

    @pytest.mark.django_db(transaction=True)
    def test_conflicts_are_counted(self, collected: Collected) -> None:
        store = whizbang.event_store()
        noted = OrderNoted(order_id="1", text="a")
        with pytest.raises(ConcurrencyError):
            store.append("shop.Order-1", [noted], expected=7)
        (point,) = collected.points("whizbang.append.conflicts")
        assert point.value == 1
        assert point.attributes == {
            "messaging.destination.name": "shop.Order",
            "whizbang.store": "default",
        }
        assert collected.named("append shop.Order").attributes["error.type"] == "ConcurrencyError"  # type: ignore[index]

    def test_stages_and_subscriptions_have_metrics_without_spans(self, drain: Drain) -> None:
        with collecting(spans=False) as collected:
            whizbang.send(OpenOrder(order_id="1"))
            drain()
            stages = {
                p.attributes["whizbang.stage"] for p in collected.points("whizbang.stage.duration")
            }
            assert {"Validate", "Handle", "Commit"} <= stages
            consumed = collected.points("messaging.client.consumed.messages")
            assert "shop.OrderSummaries" in {
                p.attributes["messaging.destination.name"] for p in consumed
            }

    def test_without_an_sdk_nothing_is_told(self, drain: Drain) -> None:
        untold = mock.Mock(side_effect=AssertionError("told"))
        with mock.patch.multiple(telemetry, span=untold, record=untold, add=untold):
            whizbang.send(OpenOrder(order_id="1", customer_id="ship me"))
            whizbang.publish(NoteOrder(order_id="1", text="a"))
            drain()
        assert OrderSummary.objects.get().status == "gone"
        assert all(r.meta.traceparent is None for r in whizbang.event_store().read_all())

    def test_telemetry_that_fails_fails_no_message(
        self, collected: Collected, drain: Drain
    ) -> None:
        collected.add_processor(Broken())
        whizbang.send(OpenOrder(order_id="1", customer_id="ship me"))
        drain()
        assert OrderSummary.objects.get().status == "gone"


class CallHere(whizbang.Command[None]):
    pass


class TestBetweenServices:
    @pytest.fixture(autouse=True)
    def _here(self, settings: Settings) -> None:
        settings.WHIZBANG = {
            "SERVICE": "here",
            "OWNS": ["shop"],
            "SERVICES": {"there": {"OWNS": ["elsewhere"], "LISTENS_TO": ["shop"]}},
        }

    @pytest.fixture
    def there(self, _here: None) -> InProcessBroker:
        made = InProcessBroker(using=connection.alias)
        listening = {"here": ["elsewhere"]}
        made.declare(
            Topology(service="there", owns=["elsewhere"], listens_to=["shop"], peers=listening)
        )
        return made

    def take(self, there: InProcessBroker) -> list[BrokerMessage]:
        found: list[Delivery] = there.receive(limit=99, timeout_seconds=0)
        return [delivery.message for delivery in found if delivery.message is not None]

    def test_relay_publishes_a_batch_in_one_span_that_is_linked_to_each_message(
        self, there: InProcessBroker, collected: Collected, drain: Drain
    ) -> None:
        for number in range(2):
            whizbang.publish(CallElsewhere(text=str(number)))
        drain()
        creates = [span for span in collected.spans if span.name.startswith("create")]
        publish = collected.named("publish whizbang.there")
        assert publish.kind is SpanKind.CLIENT
        assert linked_to(publish) == {ids_of(span) for span in creates}
        assert publish.attributes == {
            "messaging.system": "whizbang",
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.destination.name": "whizbang.there",
            "messaging.batch.message_count": 2,
        }
        sent = self.take(there)
        assert [ids_in(message.metadata.traceparent) for message in sent] == [
            ids_of(span) for span in creates
        ]
        assert [link.attributes for link in publish.links] == [
            {
                "messaging.message.id": str(message.message_id),
                "messaging.message.conversation_id": str(message.metadata.correlation_id),
                "messaging.destination.name": "whizbang.there",
                "whizbang.message.type": "elsewhere.CallElsewhere",
            }
            for message in sent
        ]

    def test_topic_is_published_in_a_span_that_is_linked_to_its_events(
        self, there: InProcessBroker, collected: Collected, drain: Drain
    ) -> None:
        whizbang.send(OpenOrder(order_id="1"))
        drain()
        append = collected.named("append shop.Order")
        publish = collected.named("publish whizbang.shop")
        assert (publish.context.trace_id, parent_of(publish)) == ids_of(append)
        assert linked_to(publish) == {ids_of(append)}
        [message] = self.take(there)
        assert ids_in(message.metadata.traceparent) == ids_of(append)

    def test_what_comes_is_handled_in_the_trace_that_it_carries(
        self, there: InProcessBroker, collected: Collected, drain: Drain
    ) -> None:
        origin = f"00-{uuid4().hex}-b7ad6b7169203331-01"
        sent = command({"order_id": "1"})
        meta = msgspec.structs.replace(sent.metadata, traceparent=origin)
        there.publish([msgspec.structs.replace(sent, metadata=meta)])
        drain()
        receive, ack = (
            collected.named("receive whizbang.here"),
            collected.named("ack whizbang.here"),
        )
        process = collected.named("process shop.OpenOrder")
        assert (receive.kind, ack.kind) == (SpanKind.CLIENT, SpanKind.CLIENT)
        assert linked_to(receive) == linked_to(process) == {ids_in(origin)}
        assert parent_of(ack) == receive.context.span_id
        assert parent_of(process) == ids_in(origin)[1]
        assert receive.attributes is not None
        assert receive.attributes["messaging.batch.message_count"] == 1
        assert receive.attributes["messaging.message.id"] == str(sent.message_id)

    def test_look_that_finds_nothing_is_not_told(
        self, there: InProcessBroker, collected: Collected
    ) -> None:
        worker = Worker()
        worker.run_once()
        worker.close()
        assert collected.names == []

    def test_subscriber_goes_on_in_the_trace_of_the_other_service(
        self,
        there: InProcessBroker,
        collected: Collected,
        drain: Drain,
        isolated_registry: None,
    ) -> None:
        def hear(event: HappenedElsewhere, context: Context) -> None:
            context.send(ShipOrder(order_id="1"))

        hear.__module__ = "tests.shop.handlers"
        subscribes(HappenedElsewhere, backfill_from=whizbang.BEGINNING)(hear)
        origin = f"00-{uuid4().hex}-b7ad6b7169203331-01"
        sent = event(1, position=1, previous=0)
        meta = msgspec.structs.replace(sent.metadata, traceparent=origin)
        there.publish([msgspec.structs.replace(sent, metadata=meta)])
        drain()
        [heard] = (span for span in collected.spans if span.name.endswith(".hear"))
        assert (heard.context.trace_id, parent_of(heard)) == ids_in(origin)
        create = collected.named("create shop.ShipOrder")
        assert (create.context.trace_id, parent_of(create)) == ids_of(heard)

    @pytest.mark.parametrize("mode", ["durable", "batched"])
    def test_answer_carries_the_trace_of_its_command(
        self, there: InProcessBroker, drain: Drain, settings: Settings, mode: str
    ) -> None:
        settings.WHIZBANG = {**settings.WHIZBANG, "MODES": {"shop": mode}}
        origin = f"00-{uuid4().hex}-b7ad6b7169203331-01"
        for number in range(2):
            sent = command({"order_id": str(number)}, reply_to="there")
            meta = msgspec.structs.replace(sent.metadata, traceparent=origin)
            there.publish([msgspec.structs.replace(sent, metadata=meta)])
        drain()
        assert InboxMessage.objects.filter(status="handled").count() == 2
        replies = [message for message in self.take(there) if message.kind == "reply"]
        assert [message.metadata.traceparent for message in replies] == [origin] * 2

    def test_messages_that_wait_in_the_broker_are_told(
        self, there: InProcessBroker, collected: Collected
    ) -> None:
        there.publish([command({"order_id": str(number)}) for number in range(3)])
        worker = Worker(only=["receive"])
        worker.run_once()
        (point,) = collected.points("whizbang.broker.pending.count")
        assert point.value == 3
        assert point.attributes == {
            "messaging.destination.name": "whizbang.here",
            "messaging.system": "whizbang",
        }
        worker.close()
        assert collected.points("whizbang.broker.pending.count") == []
