"""OTLP in protobuf. Needs the extra `telemetry`; imported when the first such request comes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from brain.errors import InvalidInput
from brain.extras import needs

with needs(__name__, "telemetry"):
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from brain.telemetry.genai import (
    MODEL,
    NO_TOKENS,
    NUMBERS,
    OPENINFERENCE,
    OPERATION,
    UNKNOWN,
    WANTED,
    Labels,
    Meaning,
    duration,
    label,
    read_meaning,
    read_tokens,
    whole_number,
)
from brain.telemetry.otlp_messages import Traces
from brain.telemetry.requests import LOGS, METRICS, TRACES, Calls

_REQUESTS: dict[str, Any] = {
    TRACES: ExportTraceServiceRequest,
    METRICS: ExportMetricsServiceRequest,
    LOGS: ExportLogsServiceRequest,
}
_POINTS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_REMEMBERED = 256
"""Bytes of a value up to which what it says is remembered."""
_NUMBER = 32
"""Most bytes of a value that is a number."""


def read_protobuf(signal: str, body: bytes) -> Calls:
    """What the request says. Raises InvalidInput when it is none."""
    found = Calls(signal)
    if signal == METRICS:
        for resource in parse(signal, body).resource_metrics:
            points = sum(
                len(getattr(metric, kind).data_points)
                for scope in resource.scope_metrics
                for metric in scope.metrics
                if (kind := metric.WhichOneof("data")) in _POINTS
            )
            found.items[_service(resource)] += points
    elif signal == LOGS:
        for resource in parse(signal, body).resource_logs:
            found.items[_service(resource)] += sum(len(scope.log_records) for scope in resource.scope_logs)
    else:
        _add_spans(found, body)
    return found


def parse(signal: str, body: bytes) -> Any:
    """The request as its whole message. Raises InvalidInput."""
    return _parsed(_REQUESTS[signal], signal, body)


def _parsed(message: Any, signal: str, body: bytes) -> Any:
    try:
        return message.FromString(body)
    except DecodeError as error:
        raise InvalidInput(f"body: is no request of OTLP for {signal} in protobuf: {error}") from error


def _add_spans(found: Calls, body: bytes) -> None:
    for resource in _parsed(Traces, TRACES, body).resource_spans:
        service = label(_text(resource.resource.attributes.get("service.name", b"")))
        for scope in resource.scope_spans:
            found.items[service] += len(scope.spans)
            for span in scope.spans:
                _add(found, span, service)


def _add(found: Calls, span: Any, service: str) -> None:
    attributes = span.attributes
    meaning: Meaning = None
    tokens, timing = NO_TOKENS, (0, False)
    if OPERATION in attributes or OPENINFERENCE in attributes:
        texts: list[str | bytes] = []
        names, values, longest = [], [], 0
        for key in WANTED.intersection(attributes):
            value = attributes[key]
            if len(value) > longest:
                longest = len(value)
            if key not in NUMBERS:
                texts += (key, value)
            elif len(value) <= _NUMBER and (number := _number(value)) is not None:
                names.append(key)
                values.append(number)
        meaning = (_meaning if longest <= _REMEMBERED else _meaning.__wrapped__)(service, *texts)
        if isinstance(meaning, Labels):
            timing = (duration(span.start_time_unix_nano, span.end_time_unix_nano), span.status.code == 2)
            if names and meaning.kind == MODEL:
                tokens = read_tokens(names, values)
    found.add((span.trace_id, span.span_id, span.parent_span_id), meaning, tokens, timing, service)


@lru_cache(4096)
def _meaning(service: str, *texts: Any) -> Meaning:
    """What a span is, by its texts: name, value, name, value. Those of most spans came before."""
    return read_meaning({name: _text(value) for name, value in zip(texts[::2], texts[1::2], strict=True)}, service)


@lru_cache(4096)
def _number(value: bytes) -> int | None:
    found = _value(value)
    kind = found.WhichOneof("value")
    return whole_number(getattr(found, kind)) if kind in ("int_value", "double_value", "string_value") else None


def _text(value: bytes) -> str:
    return str(_value(value).string_value)


def _value(value: bytes) -> AnyValue:
    try:
        found: AnyValue = AnyValue.FromString(value)
        return found
    except DecodeError as error:
        raise InvalidInput(f"body: a value of an attribute is not that of OTLP: {error}") from error


def _service(resource: Any) -> str:
    for attribute in resource.resource.attributes:
        if attribute.key == "service.name":
            return label(attribute.value.string_value)
    return UNKNOWN
