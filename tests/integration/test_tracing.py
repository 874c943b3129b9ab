"""Traces over the stream, with a real OpenTelemetry SDK: W3C context out with the events and in with the handlers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brain import DeliveryOptions, Event, EventStream, correlation
from brain.errors import EnvelopeError
from support.log_lines import caught_logs

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SDK_MODULE = "opentelemetry.sdk.trace"


@pytest.fixture(scope="module")
def provider() -> Iterator[TracerProvider]:
    """The process's tracer provider. The SDK is loaded here and not above: its presence is what switches tracing on."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    yield provider
    del sys.modules[SDK_MODULE]


@pytest.fixture
def exporter(provider: TracerProvider) -> Iterator[InMemorySpanExporter]:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Callable[[], dict[str, ReadableSpan]]:
    return lambda: {span.name: span for span in exporter.get_finished_spans()}


@pytest.fixture
async def stream(provider: TracerProvider, tmp_path: Path) -> AsyncIterator[EventStream]:
    async with EventStream.open(f"sqlite:///{tmp_path / 'brain.db'}", lease=0.6) as stream:
        yield stream


def make(event_type: str = "test.happened", **meta: object) -> Event:
    return Event(type=event_type, source="test_service", payload={"n": 1}, meta=meta)


def ids(span: ReadableSpan) -> tuple[str, str]:
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def parent_id(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


def traceparent(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"00-{'-'.join(ids(span))}-{int(span.context.trace_flags):02x}"


async def run_until(stream: EventStream, done: asyncio.Event) -> None:
    task = asyncio.create_task(stream.run_consumers())
    async with asyncio.timeout(60):
        await done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_published_event_carries_its_span(
    stream: EventStream, spans: Callable[[], dict[str, ReadableSpan]]
) -> None:
    from opentelemetry import trace

    with correlation("story"), trace.get_tracer("test").start_as_current_span("request"):
        event = make()
        await stream.publish(event)
    (stored,) = await stream.read()
    request, published = spans()["request"], spans()["publish test.happened"]
    assert ids(published)[0] == ids(request)[0]
    assert parent_id(published) == ids(request)[1]
    assert stored.event.meta == {**event.meta, "traceparent": traceparent(published)}
    assert "traceparent" not in event.meta, "the caller's own event stays as it was"
    assert published.kind is trace.SpanKind.PRODUCER
    assert dict(published.attributes or {}) == {
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.system": "brain",
        "messaging.destination.name": "test.happened",
        "messaging.message.id": event.id,
        "messaging.message.conversation_id": "story",
    }


async def test_a_handler_continues_the_trace_and_so_does_what_it_publishes(
    stream: EventStream, spans: Callable[[], dict[str, ReadableSpan]]
) -> None:
    from opentelemetry import trace

    done = asyncio.Event()

    async def plain(event: Event) -> None:
        stream.publish(make("test.caused"))

    def in_a_thread(event: Event) -> None:
        stream.publish(make("test.concluded"))
        done.set()

    stream.consumer("first", "test.happened", plain)
    stream.consumer("second", "test.caused", in_a_thread)
    cause = make()
    stream.publish(cause)
    await run_until(stream, done)
    found = spans()
    chain = ["publish test.happened", "process test.happened", "publish test.caused", "process test.caused"]
    chain.append("publish test.concluded")
    assert len({ids(found[name])[0] for name in chain}) == 1, "all in one trace"
    for parent, child in pairwise(chain):
        assert parent_id(found[child]) == ids(found[parent])[1]
    process = found["process test.happened"]
    assert process.kind is trace.SpanKind.CONSUMER
    assert dict(process.attributes or {}) == {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "first",
        "messaging.system": "brain",
        "messaging.destination.name": "test.happened",
        "messaging.message.id": cause.id,
    }
    (effect,) = await stream.read("test.caused")
    assert effect.event.meta["causation_id"] == cause.id


async def test_a_failing_handler_marks_its_span(stream: EventStream, exporter: InMemorySpanExporter) -> None:
    from opentelemetry.trace import StatusCode

    attempts = 0
    done = asyncio.Event()

    async def handler(event: Event) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ConnectionError("the database is away")
        done.set()

    stream.consumer("g", "*", handler, DeliveryOptions(retry_delay=0.01))
    stream.publish(make())
    await run_until(stream, done)
    failed, succeeded = [span for span in exporter.get_finished_spans() if span.name == "process test.happened"]
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "ConnectionError: the database is away"
    assert (failed.attributes or {})["error.type"] == "ConnectionError"
    assert [event.name for event in failed.events] == ["exception"]
    assert succeeded.status.status_code is StatusCode.UNSET
    assert ids(failed)[0] == ids(succeeded)[0]


async def test_a_refused_event_marks_its_span(
    stream: EventStream, spans: Callable[[], dict[str, ReadableSpan]]
) -> None:
    from opentelemetry.trace import StatusCode

    receipt = stream.publish(Event(type="test.refused", source="test_service", payload={"o": object()}))
    assert isinstance(receipt.refused, EnvelopeError)
    assert stream.stats()["refused"] == 1
    assert spans()["publish test.refused"].status.status_code is StatusCode.ERROR
    assert stream.publish("no event").refused is not None  # type: ignore[arg-type]


async def test_an_incoming_trace_is_continued_without_a_current_span(
    stream: EventStream, spans: Callable[[], dict[str, ReadableSpan]]
) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with correlation("request", traceparent=parent, tracestate="vendor=value"):
        await stream.publish(make())
    (stored,) = await stream.read()
    published = spans()["publish test.happened"]
    assert published.parent is not None
    assert published.parent.is_remote
    assert ids(published)[0] == parent[3:35]
    assert stored.event.meta["traceparent"] == traceparent(published)
    assert stored.event.meta["tracestate"] == "vendor=value"


async def test_a_malformed_trace_in_an_event_begins_a_new_one(
    stream: EventStream, spans: Callable[[], dict[str, ReadableSpan]]
) -> None:
    done = asyncio.Event()

    async def handler(event: Event) -> None:
        done.set()

    stream.consumer("g", "*", handler)
    stream.publish(make(traceparent=17, tracestate=["what"]))
    await run_until(stream, done)
    (stored,) = await stream.read()
    assert stored.event.meta["traceparent"][3:35] == ids(spans()["publish test.happened"])[0]
    assert "tracestate" not in stored.event.meta


async def test_a_span_processor_that_raises_stops_nothing(stream: EventStream, provider: TracerProvider) -> None:
    from opentelemetry.sdk.trace import SpanProcessor

    class Broken(SpanProcessor):
        broken = True

        def on_start(self, span: object, parent_context: object = None) -> None:
            if self.broken:
                raise RuntimeError("the exporter is gone")

    processor = Broken()
    provider.add_span_processor(processor)
    done = asyncio.Event()

    async def handler(event: Event) -> None:
        done.set()

    stream.consumer("g", "*", handler)
    try:
        with caught_logs() as logs:
            assert stream.publish(make()).refused is None
            await run_until(stream, done)
    finally:
        processor.broken = False
    (stored,) = await stream.read()
    assert "traceparent" not in stored.event.meta
    assert [entry["event"] for entry in logs if "span" in entry["event"]] == [
        "an event was published without its span",
        "an event was handled without its span",
    ]
