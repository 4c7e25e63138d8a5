"""Tracing and metrics: `telemetry` is OpenTelemetry where its API is installed, else silent."""

from __future__ import annotations

from importlib.util import find_spec

from whizbang.drivers.telemetry.base import NoTelemetry, Telemetry


def _make_telemetry() -> Telemetry:
    if find_spec("opentelemetry") is None:
        return NoTelemetry()
    from whizbang.drivers.telemetry.opentelemetry import OpenTelemetry

    return OpenTelemetry()


telemetry: Telemetry = _make_telemetry()
