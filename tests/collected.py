"""An OpenTelemetry SDK for one test, and what it has collected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from opentelemetry import trace
from opentelemetry.metrics import _internal as metrics_api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from whizbang.drivers.telemetry import telemetry
from whizbang.pipeline.chain import forget


class Collected:
    """Finished spans, and points of metrics."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider(metric_readers=[self.reader])

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    @property
    def names(self) -> list[str]:
        return sorted(span.name for span in self.spans)

    def named(self, name: str) -> ReadableSpan:
        (found,) = (span for span in self.spans if span.name == name)
        return found

    def add_processor(self, processor: SpanProcessor) -> None:
        self.tracers.add_span_processor(processor)

    def points(self, name: str) -> list[Any]:
        """The points of one metric; looking resets nothing."""
        data: Any = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@contextmanager
def collecting(*, spans: bool = True, metrics: bool = True) -> Iterator[Collected]:
    """Providers are set once a process, and by their variables here, to take them away again."""
    collected = Collected()
    with (
        mock.patch.object(trace, "_TRACER_PROVIDER", collected.tracers if spans else None),
        mock.patch.object(metrics_api, "_METER_PROVIDER", collected.meters if metrics else None),
        mock.patch.multiple(telemetry, _instruments={}, _readings={}, _gauges=set()),
    ):
        forget()
        yield collected
    forget()
    collected.meters.shutdown()


def ids_of(span: ReadableSpan) -> tuple[int, int]:
    return span.context.trace_id, span.context.span_id


def linked_to(span: ReadableSpan) -> set[tuple[int, int]]:
    return {(link.context.trace_id, link.context.span_id) for link in span.links}
