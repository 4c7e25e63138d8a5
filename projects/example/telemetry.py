"""Traces and metrics of the shop by OpenTelemetry, to wherever OTEL_EXPORTER_OTLP_ENDPOINT says.

As an app, so that the web process, workers and commands have it alike; settings.py installs it where that
standard variable is set. The exporters read the other OTEL_… variables by themselves.
"""

from __future__ import annotations

import os

from django.apps import AppConfig
from django.conf import settings
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


class Telemetry(AppConfig):
    name = "projects.example.telemetry"
    label = "telemetry"

    def ready(self) -> None:
        # A batch is linked to each of its messages: more than the 128 links that an SDK keeps by default.
        os.environ.setdefault("OTEL_SPAN_LINK_COUNT_LIMIT", str(settings.WHIZBANG["BATCH_SIZE"]))
        resource = Resource.create({"service.name": _name_of_service()})
        tracers = TracerProvider(resource=resource)
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(tracers)
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        metrics.set_meter_provider(MeterProvider([reader], resource=resource))
        DjangoInstrumentor().instrument()  # puts its middleware into settings.MIDDLEWARE


def _name_of_service() -> str:
    return os.environ.get("OTEL_SERVICE_NAME") or settings.WHIZBANG.get("SERVICE") or "example"
