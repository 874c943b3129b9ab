"""What each program below has in common: OpenTelemetry's SDK with its exporter, as the framework's docs set it up."""

from __future__ import annotations

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

INPUT, OUTPUT = 120, 17
"""Tokens of each of the two calls of the fake model; the first one asks for the tool `search`."""


def provider() -> TracerProvider:
    """The provider of the whole process, which exports to $TELEMETRY; `shutdown` sends what is left."""
    made = TracerProvider(resource=Resource({"service.name": "traced"}))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{os.environ['TELEMETRY']}/v1/traces")))
    trace.set_tracer_provider(made)
    return made
