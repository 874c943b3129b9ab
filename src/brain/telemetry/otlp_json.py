"""OTLP in JSON: ids in hexadecimal, numbers of 64 bits as numbers or texts, unknown fields passed over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import msgspec

from brain.errors import InvalidInput
from brain.telemetry.genai import (
    MODEL,
    MOST,
    NO_TOKENS,
    NUMBERS,
    TEXTS,
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
from brain.telemetry.requests import LOGS, METRICS, Calls
from brain.typed import ready

T = TypeVar("T")
S = TypeVar("S")
_Int = int | str
_REMEMBERED = 512
"""Characters of all texts of a span up to which what they say is remembered."""
_SHORT = len(str(MOST)) - 1
"""Digits of a number that is surely not beyond it."""
_MEANINGS = 4096
"""How many of them are remembered."""


class _Model(msgspec.Struct, rename="camel", gc=False):
    """Nothing of a request refers to what holds it: the collector need not look at thousands of them."""


class _Value(_Model):
    string_value: str | None = None
    int_value: _Int | None = None
    double_value: float | str | None = None


class _Attribute(_Model):
    key: str = ""
    value: _Value | None = None


class _LooseAttribute(_Model):
    key: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")  # only those that are wanted are read further


class _Resource(_Model):
    attributes: list[_LooseAttribute] = []


class _Status(_Model):
    code: _Int = 0


class _SpanHead(_Model):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str | None = None
    start_time_unix_nano: _Int = 0
    end_time_unix_nano: _Int = 0
    status: _Status | None = None


class _Span(_SpanHead):
    attributes: list[_Attribute] = []


class _LooseSpan(_SpanHead):
    """Of a request in which some value is none of OTLP, which is passed over."""

    attributes: list[_LooseAttribute] = []


class _Spans(_Model, Generic[S]):
    spans: list[S] = []


class _ResourceSpans(_Model, Generic[S]):
    resource: _Resource | None = None
    scope_spans: list[_Spans[S]] = []


class _Traces(_Model, Generic[S]):
    resource_spans: list[_ResourceSpans[S]] = []


class _Points(_Model):
    data_points: list[msgspec.Raw] = []


class _Metric(_Model):
    gauge: _Points | None = None
    sum: _Points | None = None
    histogram: _Points | None = None
    exponential_histogram: _Points | None = None
    summary: _Points | None = None


class _Metrics(_Model):
    metrics: list[_Metric] = []


class _ResourceMetrics(_Model):
    resource: _Resource | None = None
    scope_metrics: list[_Metrics] = []


class _AllMetrics(_Model):
    resource_metrics: list[_ResourceMetrics] = []


class _Records(_Model):
    log_records: list[msgspec.Raw] = []


class _ResourceLogs(_Model):
    resource: _Resource | None = None
    scope_logs: list[_Records] = []


class _Logs(_Model):
    resource_logs: list[_ResourceLogs] = []


class _Reader(Generic[T]):
    def __init__(self, signal: str, model: type[T]) -> None:
        self._signal = signal
        self._decoder = msgspec.json.Decoder(ready(model))

    def read(self, body: bytes) -> T:
        try:
            return self._decoder.decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise InvalidInput(f"body: is no request of OTLP for {self._signal} in JSON: {error}") from error


_read_value = msgspec.json.Decoder(ready(_Value | None)).decode
_metrics, _logs = _Reader("metrics", _AllMetrics), _Reader("logs", _Logs)
_loose_traces = _Reader("traces", _Traces[_LooseSpan])
_read_traces = msgspec.json.Decoder(ready(_Traces[_Span])).decode
_is_number = {**dict.fromkeys(TEXTS, False), **dict.fromkeys(NUMBERS, True)}.get
_meanings: dict[tuple[str, ...], Meaning] = {}
_NOT_READ = Labels("", "", "", "", "", "")


def read_json(signal: str, body: bytes) -> Calls:
    """What the request says. Raises InvalidInput when it is none."""
    found = Calls(signal)
    if signal == METRICS:
        for metrics in _metrics.read(body).resource_metrics:
            found.items[_service(metrics.resource)] += sum(
                _points(metric) for scope in metrics.scope_metrics for metric in scope.metrics
            )
    elif signal == LOGS:
        for logs in _logs.read(body).resource_logs:
            found.items[_service(logs.resource)] += sum(len(scope.log_records) for scope in logs.scope_logs)
    else:
        for service, spans in _traces(body):
            found.items[service] += len(spans)
            for span in spans:
                _add(found, span, service)
    return found


def _traces(body: bytes) -> Iterable[tuple[str, Sequence[_Span]]]:
    """Services and their spans. Raises InvalidInput."""
    try:
        strict = _read_traces(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        loose = _loose_traces.read(body).resource_spans
        return [(_service(one.resource), list(map(_strict, scope.spans))) for one in loose for scope in one.scope_spans]
    return [(_service(one.resource), scope.spans) for one in strict.resource_spans for scope in one.scope_spans]


def _strict(span: _LooseSpan) -> _Span:
    return _Span(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status,
        [_Attribute(one.key, _value(one)) for one in span.attributes if one.key in WANTED],
    )


def _points(metric: _Metric) -> int:
    kinds = (metric.gauge, metric.sum, metric.histogram, metric.exponential_histogram, metric.summary)
    return sum(len(kind.data_points) for kind in kinds if kind is not None)


def _add(found: Calls, span: _Span, service: str) -> None:
    texts, names, values = [service], [], []
    for one in span.attributes:
        key = one.key
        counts = _is_number(key)
        if counts is None or (value := one.value) is None:
            continue
        if counts:
            if (number := _number(value)) is not None:
                names.append(key)
                values.append(number)
        elif (text := value.string_value) is not None:
            texts += (key, text)
    said = tuple(texts)
    meaning = _meanings.get(said, _NOT_READ)
    if meaning is _NOT_READ:
        meaning = _meaning(said)
    tokens, timing = NO_TOKENS, (0, False)
    if isinstance(meaning, Labels):
        timing = (_nanoseconds(span), span.status is not None and span.status.code in (2, "STATUS_CODE_ERROR"))
        if names and meaning.kind == MODEL:
            tokens = read_tokens(names, values)
    found.add(_ids(span), meaning, tokens, timing, service)


def _ids(span: _Span) -> tuple[bytes, bytes, bytes]:
    unhex = bytes.fromhex
    try:
        return unhex(span.trace_id), unhex(span.span_id), unhex(span.parent_span_id or "")
    except ValueError:
        return b"", b"", b""  # refused as no span


def _nanoseconds(span: _Span) -> int:
    try:
        return duration(int(span.start_time_unix_nano), int(span.end_time_unix_nano))
    except ValueError:
        return 0  # one of them is no number


def _meaning(said: tuple[str, ...]) -> Meaning:
    """What a span is, by its service and its texts: name, value, name, value. Those of most spans came before."""
    service, *texts = said
    meaning = read_meaning(dict(zip(texts[::2], texts[1::2], strict=True)), service)
    if sum(map(len, said)) <= _REMEMBERED:
        if len(_meanings) >= _MEANINGS:
            _meanings.clear()
        _meanings[said] = meaning
    return meaning


def _number(value: _Value) -> int | None:
    found = value.int_value
    if found.__class__ is str and len(found) <= _SHORT and found.isdecimal():
        return int(found)
    if found.__class__ is int and 0 <= found <= MOST:
        return found
    return whole_number(_whole(found if found is not None else value.double_value))


def _value(attribute: _LooseAttribute) -> _Value | None:
    """The value of an attribute; None for one that is no value of OTLP. Raises InvalidInput for no UTF-8."""
    try:
        found: _Value | None = _read_value(attribute.value)
        return found
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):  # either, for no UTF-8
        _check_text(attribute)
        return None


def _check_text(attribute: _LooseAttribute) -> None:
    try:
        bytes(attribute.value).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"body: the value of {attribute.key} is no text: {error}") from error


def _whole(value: float | str | None) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isdecimal() and len(value) < 20 else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value


def _service(resource: _Resource | None) -> str:
    for attribute in resource.attributes if resource is not None else ():
        if attribute.key == "service.name" and (value := _value(attribute)) is not None:
            return label(value.string_value)
    return UNKNOWN
