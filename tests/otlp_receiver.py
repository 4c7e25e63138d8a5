"""A receiver of OTLP over HTTP in this process, as a collector would be."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

Ids = tuple[str, str]  # of a trace and of a span in it


class SeenSpan(NamedTuple):
    service: str
    name: str
    kind: str  # SERVER, CLIENT, …
    ids: Ids
    parent: str
    links: dict[Ids, dict[str, Any]]  # their attributes
    attributes: dict[str, Any]
    document: str  # all that was sent of it


class OtlpReceiver:
    """What processes have sent so far."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._spans: list[SeenSpan] = []
        self._metrics: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.endpoint = ""

    @property
    def spans(self) -> list[SeenSpan]:
        with self._lock:
            return list(self._spans)

    def points(self, service: str, metric: str) -> list[dict[str, Any]]:
        """Attributes of the points that a service sent of a metric."""
        with self._lock:
            return list(self._metrics.get((service, metric), ()))

    def take(self, path: str, body: bytes) -> None:
        with self._lock:
            if path == "/v1/traces":
                self._spans += _spans_in(ExportTraceServiceRequest.FromString(body))
            elif path == "/v1/metrics":
                self._take_metrics(ExportMetricsServiceRequest.FromString(body))

    def _take_metrics(self, request: Any) -> None:
        for of_resource in request.resource_metrics:
            service = _attributes(of_resource.resource)["service.name"]
            for scope in of_resource.scope_metrics:
                for metric in scope.metrics:
                    points = getattr(metric, metric.WhichOneof("data")).data_points
                    found = self._metrics.setdefault((service, metric.name), [])
                    found += [_attributes(point) for point in points]


def _spans_in(request: Any) -> Iterator[SeenSpan]:
    for of_resource in request.resource_spans:
        service = _attributes(of_resource.resource)["service.name"]
        for scope in of_resource.scope_spans:
            for span in scope.spans:
                yield SeenSpan(
                    service=service,
                    name=span.name,
                    kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    ids=_ids(span),
                    parent=span.parent_span_id.hex(),
                    links={_ids(link): _attributes(link) for link in span.links},
                    attributes=_attributes(span),
                    document=str(span),
                )


def _ids(holder: Any) -> Ids:
    return holder.trace_id.hex(), holder.span_id.hex()


def _attributes(holder: Any) -> dict[str, Any]:
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value") or "string_value")
        for item in holder.attributes
    }


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """At an address of its own, for OTEL_EXPORTER_OTLP_ENDPOINT."""
    receiver = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the test tells."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
