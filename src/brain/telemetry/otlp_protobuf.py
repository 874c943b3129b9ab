"""OTLP in protobuf. Needs the extra `telemetry`; imported when the first such request comes."""

from __future__ import annotations

from typing import Any

from brain.errors import InvalidInput
from brain.extras import needs

with needs(__name__, "telemetry"):
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from brain.telemetry.genai import NUMBERS, UNKNOWN, WANTED, label
from brain.telemetry.requests import LOGS, METRICS, Calls

_REQUESTS: dict[str, Any] = {METRICS: ExportMetricsServiceRequest, LOGS: ExportLogsServiceRequest}
_POINTS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


def read_protobuf(signal: str, body: bytes) -> Calls:
    """What the request says. Raises InvalidInput when it is none."""
    message = parse(signal, body)
    found = Calls(signal)
    if signal == METRICS:
        for resource in message.resource_metrics:
            points = sum(
                len(getattr(metric, kind).data_points)
                for scope in resource.scope_metrics
                for metric in scope.metrics
                if (kind := metric.WhichOneof("data")) in _POINTS
            )
            found.items[_service(resource)] += points
    elif signal == LOGS:
        for resource in message.resource_logs:
            found.items[_service(resource)] += sum(len(scope.log_records) for scope in resource.scope_logs)
    else:
        for resource in message.resource_spans:
            service = _service(resource)
            for scope in resource.scope_spans:
                found.items[service] += len(scope.spans)
                for span in scope.spans:
                    _add(found, span, service)
    return found


def parse(signal: str, body: bytes) -> Any:
    """The request as its message. Raises InvalidInput."""
    try:
        return _REQUESTS.get(signal, ExportTraceServiceRequest).FromString(body)
    except DecodeError as error:
        raise InvalidInput(f"body: is no request of OTLP for {signal} in protobuf: {error}") from error


def _add(found: Calls, span: Any, service: str) -> None:
    given: dict[str, Any] = {}
    for attribute in span.attributes:
        key = attribute.key
        if key in WANTED:
            given[key] = _number(attribute.value) if key in NUMBERS else attribute.value.string_value
    use = found.add((span.trace_id, span.span_id, span.parent_span_id), given, service)
    if use is not None:
        use.nanoseconds = max(0, span.end_time_unix_nano - span.start_time_unix_nano)
        use.error = span.status.code == 2


def _number(value: Any) -> int | None:
    kind = value.WhichOneof("value")
    if kind == "int_value":
        return int(value.int_value)
    if kind == "double_value" and value.double_value.is_integer():
        return int(value.double_value)
    if kind == "string_value" and value.string_value.isdecimal() and len(value.string_value) < 20:
        return int(value.string_value)
    return None


def _service(resource: Any) -> str:
    for attribute in resource.resource.attributes:
        if attribute.key == "service.name":
            return label(attribute.value.string_value)
    return UNKNOWN
