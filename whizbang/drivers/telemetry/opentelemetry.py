"""OpenTelemetry, by its API alone: spans and metrics appear where the team has set up an SDK."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from opentelemetry import metrics, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from whizbang.drivers.telemetry.base import Gauge, Reading, Telemetry

_propagator = TraceContextTextMapPropagator()
_SILENT = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)
# get_tracer_provider() reads the environment each time, which costs more than all stages together;
# where no provider is named there, the variable behind it says the same for nothing.
_TELLS_PROVIDER = (
    hasattr(trace, "_TRACER_PROVIDER") and "OTEL_PYTHON_TRACER_PROVIDER" not in os.environ
)


class OpenTelemetry(Telemetry):
    """Spans of kind CONSUMER under the tracer `whizbang`, metrics under the meter of that name."""

    def __init__(self) -> None:
        self._histogram: metrics.Histogram | None = None
        self._readings: Mapping[Gauge, Sequence[Reading]] = {}
        self._gauges: set[Gauge] = set()  # that the product knows of

    def is_enabled(self) -> bool:
        if _TELLS_PROVIDER and trace._TRACER_PROVIDER is None:
            return False
        return not isinstance(trace.get_tracer_provider(), _SILENT)

    @contextmanager
    def span(
        self, name: str, *, parent: str | None, attributes: Mapping[str, str]
    ) -> Iterator[str | None]:
        tracer = trace.get_tracer("whizbang")
        outer = _propagator.extract({"traceparent": parent}) if parent else None
        with tracer.start_as_current_span(
            name, context=outer, kind=trace.SpanKind.CONSUMER, attributes=dict(attributes)
        ):
            carrier: dict[str, str] = {}
            _propagator.inject(carrier)
            yield carrier.get("traceparent")

    def stage_finished(
        self, stage: str, type_name: str, duration_seconds: float, error: BaseException | None
    ) -> None:
        attributes = {"whizbang.stage": stage, "whizbang.message.type": type_name}
        if error is not None:
            attributes["error.type"] = type(error).__qualname__
        trace.get_current_span().add_event("whizbang.stage", attributes)
        self._durations().record(duration_seconds, attributes)

    def _durations(self) -> metrics.Histogram:
        if self._histogram is None:
            self._histogram = metrics.get_meter("whizbang").create_histogram(
                "whizbang.stage.duration",
                unit="s",
                description="Time of a stage and those behind it",
            )
        return self._histogram

    def collects_metrics(self) -> bool:
        # Its proxy, which stands there until an SDK is set up, is not a public name.
        provider = metrics.get_meter_provider()
        is_proxy = type(provider).__name__ == "_ProxyMeterProvider"
        return not (is_proxy or isinstance(provider, metrics.NoOpMeterProvider))

    def set_gauges(self, readings: Mapping[Gauge, Sequence[Reading]]) -> None:
        self._readings = readings
        for gauge in readings.keys() - self._gauges:
            self._gauges.add(gauge)
            metrics.get_meter("whizbang").create_observable_gauge(
                gauge.name,
                callbacks=[partial(self._observe, gauge)],
                unit=gauge.unit,
                description=gauge.description,
            )

    def _observe(
        self, gauge: Gauge, options: metrics.CallbackOptions
    ) -> Iterator[metrics.Observation]:
        for value, attributes in self._readings.get(gauge, ()):
            yield metrics.Observation(value, dict(attributes))
