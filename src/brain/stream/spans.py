"""The OpenTelemetry spans of events, named and described after the semantic conventions for messaging.

https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/. Imported only where an SDK is loaded. Whatever
the SDK raises (a span processor of the user's may) is logged, and the event goes its way untraced.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType

import msgspec
from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from brain import __version__
from brain.charter import Event, in_the_wake_of
from brain.logs import Log
from brain.stream.receipt import Receipt

log: Log = Log("brain.spans")

_tracer = trace.get_tracer("brain", __version__)
_w3c = TraceContextTextMapPropagator()
_publishing: ContextVar[bool] = ContextVar("brain_publishing", default=False)


def wanted() -> bool:
    """Whether spans go anywhere: a program may load the SDK for its metrics alone."""
    return type(trace.get_tracer_provider()) is not trace.ProxyTracerProvider


def publish(plain: Callable[[Event], Receipt], event: Event) -> Receipt | None:
    """See brain.stream.tracing.publish_traced."""
    if _publishing.get() or not isinstance(event, Event) or not wanted():
        return None
    try:
        span = _start_publishing(event)
        carried = _in_trace(event, span)
    except Exception as error:  # noqa: BLE001  (publishing never raises)
        log.warning("an event was published without its span", event_id=event.id, error=str(error))
        return None
    token = _publishing.set(True)
    try:
        receipt = plain(carried)
    finally:
        _publishing.reset(token)
    _end(span, receipt.refused)
    return receipt


def announced(event: Event) -> Event:
    """See brain.stream.tracing.traced."""
    if not wanted():
        return event
    try:
        span = _start_publishing(event)
        carried = _in_trace(event, span)
    except Exception as error:  # noqa: BLE001  (as above)
        log.warning("an event was announced without its span", event_id=event.id, error=str(error))
        return event
    _end(span, None)
    return carried


class Processing:
    """See brain.stream.tracing.handling."""

    __slots__ = ("_attached", "_event", "_group", "_span", "_wake")

    def __init__(self, event: Event, group: str) -> None:
        self._event = event
        self._group = group
        self._span: Span | None = None

    def __enter__(self) -> None:
        event = self._event
        try:
            self._span = _start_processing(event, self._group)
            event = _in_trace(event, self._span)
            self._attached = context.attach(trace.set_span_in_context(self._span))
        except Exception as error:  # noqa: BLE001  (the handler runs whatever the SDK does)
            self._span = None
            log.warning("an event was handled without its span", event_id=event.id, error=str(error))
        self._wake = in_the_wake_of(event)
        self._wake.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._wake.__exit__(kind, error, traceback)
        if self._span is not None:
            context.detach(self._attached)
            _end(self._span, error)


def _start_publishing(event: Event) -> Span:
    """A child of the current span, or of the trace that the event already belongs to, or the root of a new one."""
    around = context.get_current()
    if not trace.get_current_span(around).get_span_context().is_valid:
        around = _trace_of(event, around)
    return _tracer.start_span(
        f"publish {event.type}",
        around,
        SpanKind.PRODUCER,
        {"messaging.operation.name": "publish", "messaging.operation.type": "send", **_message(event)},
    )


def _start_processing(event: Event, group: str) -> Span:
    """A child of the event's own trace: what is current here is the consumer's start, long ago."""
    return _tracer.start_span(
        f"process {event.type}",
        _trace_of(event, context.Context()),
        SpanKind.CONSUMER,
        {
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.consumer.group.name": group,
            **_message(event),
        },
    )


def _trace_of(event: Event, around: context.Context) -> context.Context:
    """The context with the trace that the event carries, if it carries a well-formed one."""
    carried = {key: event.meta[key] for key in _w3c.fields if isinstance(event.meta.get(key), str)}
    return _w3c.extract(carried, around)


def _message(event: Event) -> dict[str, str]:
    attributes = {
        "messaging.system": "brain",
        "messaging.destination.name": event.type,
        "messaging.message.id": event.id,
    }
    if event.correlation_id:
        attributes["messaging.message.conversation_id"] = event.correlation_id
    return attributes


def _in_trace(event: Event, span: Span) -> Event:
    """The event with the span's trace context in its meta; as it is when there is no provider behind the span."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier, trace.set_span_in_context(span))
    if not carrier:
        return event
    meta = {key: value for key, value in event.meta.items() if key != "tracestate"}
    return msgspec.structs.replace(event, meta={**meta, **carrier})


def _end(span: Span, error: BaseException | None) -> None:
    try:
        if error is not None:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            span.record_exception(error)
        span.end()
    except Exception as fault:  # noqa: BLE001  (as above)
        log.warning("a span could not be ended", error=str(fault))
