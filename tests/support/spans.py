"""Spans as OpenTelemetry writes them, made by hand in both forms of OTLP; and a reader of what is stored of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Any, NamedTuple

import sqlalchemy as sa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from brain.telemetry import tables
from brain.telemetry.otlp import OtlpBody
from brain.telemetry.requests import JSON, PROTOBUF, Calls

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "fake-1", "gen_ai.provider.name": "openai"}
AGENT = {"gen_ai.operation.name": "invoke_agent"}
TOKENS = {"gen_ai.usage.input_tokens": 120, "gen_ai.usage.output_tokens": 17}


class Span(NamedTuple):
    """A span; `trace`, `id` and `parent` are numbers from 1 on, 0 for no parent."""

    trace: int
    id: int
    parent: int
    attributes: Mapping[str, Any] | Sequence[tuple[str, Any]]
    seconds: float = 1.0


def protobuf(spans: Sequence[Span], service: str = "svc") -> OtlpBody:
    """A request in protobuf."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.append(_attribute("service.name", service))
    scope = resource.scope_spans.add()
    for span in spans:
        made = scope.spans.add(
            trace_id=span.trace.to_bytes(16, "big"),
            span_id=span.id.to_bytes(8, "big"),
            parent_span_id=span.parent.to_bytes(8, "big") if span.parent else b"",
            name="a span",
            start_time_unix_nano=10**18,
            end_time_unix_nano=10**18 + round(span.seconds * 1e9),
        )
        made.attributes.extend(_attribute(name, value) for name, value in _pairs(span))
    return OtlpBody("traces", PROTOBUF, "", request.SerializeToString())


def as_json(spans: Sequence[Span], service: str = "svc") -> OtlpBody:
    """The same request in JSON: ids in hexadecimal, some numbers as texts."""
    written = [
        {
            "traceId": f"{span.trace:032x}",
            "spanId": f"{span.id:016X}",
            "parentSpanId": f"{span.parent:016x}" if span.parent else "",
            "name": "a span",
            "startTimeUnixNano": str(10**18),
            "endTimeUnixNano": 10**18 + round(span.seconds * 1e9),
            "unknownField": {"of": ["a", "later", "version"]},
            "attributes": [_json_attribute(name, value) for name, value in _pairs(span)],
        }
        for span in spans
    ]
    resource = {"attributes": [_json_attribute("service.name", service)]}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": written}]}]}
    return OtlpBody("traces", JSON, "", json.dumps(body).encode())


class ReadCall(NamedTuple):
    """A call that was read from a request, with its labels."""

    kind: str
    name: str
    provider: str
    operation: str
    agent: str
    fallback: str
    asked: str
    id: bytes
    parent: bytes
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    nanoseconds: int
    error: bool


def calls_in(found: Calls) -> list[ReadCall]:
    """The calls that were read from a request, by their ids."""
    read = [ReadCall(*astuple(labels), *call) for labels, calls in found.calls.items() for call in calls]
    return sorted(read, key=lambda call: call.id)


def usage_in(engine: sa.Engine) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Calls, input tokens and output tokens, by agent and by model or tool."""
    usage = tables.usage.c
    sums = [sa.func.sum(column) for column in (usage.calls, usage.input_tokens, usage.output_tokens)]
    query = sa.select(usage.agent, usage.name, *sums).group_by(usage.agent, usage.name)
    with engine.begin() as db:
        return {(agent, name): (int(c), int(i), int(o)) for agent, name, c, i, o in db.execute(query)}


def _pairs(span: Span) -> Iterable[tuple[str, Any]]:
    return span.attributes.items() if isinstance(span.attributes, Mapping) else span.attributes


def _attribute(name: str, value: Any) -> KeyValue:
    made = KeyValue(key=name)
    if isinstance(value, str):
        made.value.string_value = value
    elif isinstance(value, int):
        made.value.int_value = value
    else:
        made.value.double_value = value
    return made


def _json_attribute(name: str, value: Any) -> dict[str, Any]:
    kind = "stringValue" if isinstance(value, str) else "intValue" if isinstance(value, int) else "doubleValue"
    return {"key": name, "value": {kind: str(value) if len(name) % 2 and kind == "intValue" else value}}
