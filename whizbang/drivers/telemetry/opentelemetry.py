"""OpenTelemetry, by its API alone: spans and metrics appear where the team has set up an SDK."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Token
from functools import partial, wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

from opentelemetry import context, metrics, trace
from opentelemetry.metrics import _internal as metrics_api
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from whizbang.drivers.telemetry.base import (
    Attributes,
    Counter,
    Gauge,
    Histogram,
    Reading,
    SpanKind,
    Subject,
    Telemetry,
)
from whizbang.drivers.telemetry.names import ERROR_TYPE, MESSAGE_TYPE, STAGE

P = ParamSpec("P")
R = TypeVar("R")
logger = logging.getLogger(__name__)
_SCOPE = "whizbang"  # the name of our tracer and meter
_STAGE_DURATION = Histogram("whizbang.stage.duration", "s", "Time of a stage and those behind it")
_propagator = TraceContextTextMapPropagator()
_SILENT = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)
_KINDS = {
    SpanKind.PRODUCER: trace.SpanKind.PRODUCER,
    SpanKind.CLIENT: trace.SpanKind.CLIENT,
    SpanKind.CONSUMER: trace.SpanKind.CONSUMER,
}
# The public ways to the providers read the environment each time, which costs more than all stages together;
# where none is named there, the variables behind them say the same for nothing.
_TELLS_PROVIDERS = (
    hasattr(trace, "_TRACER_PROVIDER")
    and hasattr(metrics_api, "_METER_PROVIDER")
    and "OTEL_PYTHON_TRACER_PROVIDER" not in os.environ
    and "OTEL_PYTHON_METER_PROVIDER" not in os.environ
)


class _Opened(NamedTuple):
    span: trace.Span
    token: Token[Any]  # of the context that it stands in
    traceparent: str | None


def _guarded(method: Callable[P, R]) -> Callable[P, R | None]:
    """A processor or exporter of somebody's that fails must not fail the message: that it did is logged."""

    @wraps(method)
    def call(*args: P.args, **keywords: P.kwargs) -> R | None:
        try:
            return method(*args, **keywords)
        except Exception:
            logger.exception("Telemetry failed, work goes on in=%s", method.__name__)
            return None

    return call


class OpenTelemetry(Telemetry):
    """Spans under the tracer `whizbang`, metrics under the meter of that name."""

    def __init__(self) -> None:
        self._instruments: dict[Counter | Histogram, Any] = {}
        self._readings: dict[str, Mapping[Gauge, Sequence[Reading]]] = {}  # by source
        self._gauges: set[Gauge] = set()  # that the product knows of

    def is_enabled(self) -> bool:
        if (
            _TELLS_PROVIDERS
            and trace._TRACER_PROVIDER is None
            and metrics_api._METER_PROVIDER is None
        ):
            return False
        return not isinstance(trace.get_tracer_provider(), _SILENT) or self.collects_metrics()

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: SpanKind,
        subjects: Iterable[Subject] = (),
        attributes: Attributes,
        started_ns: int | None = None,
    ) -> Iterator[str | None]:
        opened = self._open(name, kind, subjects, attributes, started_ns)
        try:
            yield None if opened is None else opened.traceparent
        except BaseException as exc:
            self._note_error(opened, exc)
            raise
        finally:
            self._close(opened)

    @_guarded
    def _open(
        self,
        name: str,
        kind: SpanKind,
        subjects: Iterable[Subject],
        attributes: Attributes,
        started_ns: int | None,
    ) -> _Opened:
        found = list(subjects)
        here = trace.get_current_span().get_span_context()
        origins = [_origin_of(subject.traceparent) for subject in found]
        outer = None  # whatever is going on here
        if not here.is_valid and len({origin.trace_id for origin in origins}) == 1:
            outer = trace.set_span_in_context(trace.NonRecordingSpan(origins[0]))
        span = trace.get_tracer(_SCOPE).start_span(
            name,
            context=outer,
            kind=_KINDS[kind],
            attributes={**attributes, **found[0].attributes} if len(found) == 1 else attributes,
            links=[
                trace.Link(origin, subject.attributes)
                for origin, subject in zip(origins, found, strict=True)
                if origin.is_valid and origin.span_id != here.span_id
            ],
            start_time=started_ns,
        )
        inner = trace.set_span_in_context(span)
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, inner)
        return _Opened(span, context.attach(inner), carrier.get("traceparent"))

    @_guarded
    def _note_error(self, opened: _Opened | None, error: BaseException) -> None:
        if opened is not None:
            name = type(error).__qualname__
            opened.span.set_attribute(ERROR_TYPE, name)
            opened.span.set_status(trace.Status(trace.StatusCode.ERROR, name))

    @_guarded
    def _close(self, opened: _Opened | None) -> None:
        if opened is not None:
            context.detach(opened.token)
            opened.span.end()

    @_guarded
    def stage_finished(
        self, stage: str, type_name: str, duration_seconds: float, error: BaseException | None
    ) -> None:
        attributes = {STAGE: stage, MESSAGE_TYPE: type_name}
        if error is not None:
            attributes[ERROR_TYPE] = type(error).__qualname__
        trace.get_current_span().add_event("whizbang.stage", attributes)
        self._histogram(_STAGE_DURATION).record(duration_seconds, attributes)

    @_guarded
    def add(self, counter: Counter, amount: int, attributes: Attributes) -> None:
        made = self._instruments.get(counter)
        if made is None:
            made = metrics.get_meter(_SCOPE).create_counter(
                counter.name, unit=counter.unit, description=counter.description
            )
            self._instruments[counter] = made
        made.add(amount, dict(attributes))

    @_guarded
    def record(self, histogram: Histogram, value: float, attributes: Attributes) -> None:
        self._histogram(histogram).record(value, dict(attributes))

    def _histogram(self, histogram: Histogram) -> Any:
        made = self._instruments.get(histogram)
        if made is None:
            made = metrics.get_meter(_SCOPE).create_histogram(
                histogram.name,
                unit=histogram.unit,
                description=histogram.description,
                explicit_bucket_boundaries_advisory=histogram.buckets or None,
            )
            self._instruments[histogram] = made
        return made

    def collects_metrics(self) -> bool:
        # Its proxy, which stands there until an SDK is set up, is not a public name.
        provider = metrics.get_meter_provider()
        is_proxy = type(provider).__name__ == "_ProxyMeterProvider"
        return not (is_proxy or isinstance(provider, metrics.NoOpMeterProvider))

    def set_gauges(self, source: str, readings: Mapping[Gauge, Sequence[Reading]]) -> None:
        self._readings = {**self._readings, source: readings}  # collected by another thread
        for gauge in readings.keys() - self._gauges:
            self._gauges.add(gauge)
            metrics.get_meter(_SCOPE).create_observable_gauge(
                gauge.name,
                callbacks=[partial(self._observe, gauge)],
                unit=gauge.unit,
                description=gauge.description,
            )

    def _observe(
        self, gauge: Gauge, options: metrics.CallbackOptions
    ) -> Iterator[metrics.Observation]:
        for readings in self._readings.values():
            for value, attributes in readings.get(gauge, ()):
                yield metrics.Observation(value, dict(attributes))


def _origin_of(traceparent: str | None) -> trace.SpanContext:
    """Not valid where it says nothing that could be read."""
    if traceparent is None:
        return trace.INVALID_SPAN_CONTEXT
    extracted = _propagator.extract({"traceparent": traceparent}, context.Context())
    return trace.get_current_span(extracted).get_span_context()
