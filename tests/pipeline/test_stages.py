"""Stages can be watched, replaced and added; traces appear where an SDK is set up."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

import whizbang
from tests.processes import PATIENCE_SECONDS
from tests.shop.aggregates import Order
from tests.shop.messages import CountOrders, NoteOrder, OpenOrder, OrderNoted
from whizbang import Context, Query, WhizbangError, handles, signals
from whizbang.conf import DEFAULT_PIPELINE
from whizbang.models import InboxMessage, StoredEvent

pytestmark = pytest.mark.django_db


class Shout:
    """A user's own stage: plain, without our base class."""

    def __init__(self, next_stage: Any) -> None:
        self.next_stage = next_stage

    def __call__(self, envelope: Any) -> Any:
        envelope.notes["seen"] = True
        return str(self.next_stage(envelope)).upper()

    @staticmethod
    def applies_to(message_type: type) -> bool:
        return message_type is OpenOrder


class ShoutAll(Shout):
    @staticmethod
    def applies_to(message_type: type) -> bool:
        return True


@pytest.mark.parametrize("place", [0, 5, len(DEFAULT_PIPELINE)])
def test_users_stage_stands_where_it_is_listed(place: int) -> None:
    stages = [*DEFAULT_PIPELINE]
    stages.insert(place, f"{__name__}.Shout")
    with override_settings(WHIZBANG={"PIPELINE": stages}):
        assert whizbang.send(OpenOrder(order_id="abc")) == "ABC"
        assert whizbang.query(CountOrders()) == 0
    assert whizbang.send(OpenOrder(order_id="def")) == "def"


@pytest.fixture
def finished() -> Iterator[list[dict[str, Any]]]:
    heard: list[dict[str, Any]] = []

    def listen(sender: type, **facts: Any) -> None:
        heard.append({"stage": sender.__name__, **facts})

    signals.stage_finished.connect(listen)
    yield heard
    signals.stage_finished.disconnect(listen)


def test_every_stage_is_heard_with_its_duration(finished: list[dict[str, Any]]) -> None:
    whizbang.send(OpenOrder(order_id="1"))
    names = [item["stage"] for item in finished]
    assert (
        names
        == [path.rsplit(".", 1)[1] for path in DEFAULT_PIPELINE if "Authorize" not in path][::-1]
    )
    assert all(item["duration_seconds"] > 0 and item["error"] is None for item in finished)


def test_failing_stage_is_heard_with_its_error(finished: list[dict[str, Any]]) -> None:
    with pytest.raises(RuntimeError):
        whizbang.send(NoteOrder(order_id="1", text="fail"))
    assert {type(item["error"]) for item in finished} == {RuntimeError}


@pytest.mark.parametrize("place", range(6, len(DEFAULT_PIPELINE) + 1))
def test_users_stage_sees_a_message_that_has_no_effects(
    isolated_registry: None, place: int
) -> None:
    """Handle goes around the stages that would have nothing to do, not around a user's."""

    class Echo(whizbang.Command[str]):
        text: str

    @handles(Echo, atomic=False)
    def echo(command: Echo, context: Context) -> str:
        return command.text

    stages = [*DEFAULT_PIPELINE]
    stages.insert(place, f"{__name__}.ShoutAll")
    with override_settings(WHIZBANG={"PIPELINE": stages}):
        assert whizbang.send(Echo(text="abc")) == "ABC"


def test_query_that_changes_something_is_refused(isolated_registry: None) -> None:
    class Sneaky(Query[int]):
        pass

    @handles(Sneaky)
    def sneaky(query: Sneaky, context: Context) -> int:
        context.load(Order, "1").record(OrderNoted(order_id="1", text="a"))
        return 1

    with pytest.raises(WhizbangError, match="query changes nothing"):
        whizbang.query(Sneaky())
    assert not StoredEvent.objects.exists()


def test_result_that_cannot_be_kept_says_so(isolated_registry: None, drain: Any) -> None:
    class GiveObject(whizbang.Command[Any]):
        pass

    @handles(GiveObject)
    def give(command: GiveObject, context: Context) -> object:
        return object()

    receipt = whizbang.publish(GiveObject())
    drain()
    assert "cannot be kept for its receipt" in receipt.refresh().error
    assert InboxMessage.objects.get().status == "failed"


def test_spans_and_stage_events_appear_with_an_sdk(child_environment: dict[str, str]) -> None:
    """In a process of its own: a tracer provider is set once and for all."""
    script = """
        import django; django.setup()
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        import whizbang
        from tests.shop.messages import OpenOrder
        whizbang.send(OpenOrder(order_id="before"))
        spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(spans))
        trace.set_tracer_provider(provider)
        for number in range(2):
            whizbang.send(OpenOrder(order_id=str(number)))
        names = [s.name for s in spans.get_finished_spans()]
        assert names == ["append shop.Order", "process shop.OpenOrder"] * 2, names
        found = spans.get_finished_spans()[1::2]
        assert found[0].attributes["messaging.destination.name"] == "shop.OpenOrder"
        assert "Handle" in [e.attributes["whizbang.stage"] for e in found[1].events], found[1].events
        meta = next(iter(whizbang.event_store().read_stream("shop.Order-0"))).meta
        assert format(found[0].context.trace_id, "032x") in meta.traceparent
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)],
        env=child_environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
