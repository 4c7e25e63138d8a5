"""OpenTelemetry, by its API alone: spans appear where the team has set up an SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from whizbang.drivers.telemetry.base import Telemetry

_propagator = TraceContextTextMapPropagator()


class OpenTelemetry(Telemetry):
    """Spans of kind CONSUMER under the tracer `whizbang`."""

    def __init__(self) -> None:
        self._is_enabled = False

    def is_enabled(self) -> bool:
        if not self._is_enabled:
            provider = trace.get_tracer_provider()
            self._is_enabled = not isinstance(
                provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider
            )
        return self._is_enabled

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
