"""Metrics sent by OTLP over HTTP to a real receiver, which decodes them as a collector does."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from brain.charter import Event
from brain.errors import InvalidInput
from brain.settings import Settings, load_settings
from support.metrics_traffic import Traffic
from support.server import running_server
from support.waiting import until


class Receiver:
    """Takes OTLP/HTTP as https://opentelemetry.io/docs/specs/otlp/#otlphttp-request says; refuses the first request."""

    def __init__(self) -> None:
        self.requests: list[ExportMetricsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.refused = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/metrics"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(
                    receiver.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                )
                answer = ExportMetricsServiceResponse().SerializeToString()
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Nothing to standard error."""

        return Handler

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """The status to answer with."""
        assert path == "/v1/metrics"
        if not self.refused:
            self.refused += 1
            return 400
        self.headers.append(headers)
        self.requests.append(ExportMetricsServiceRequest.FromString(body))
        return 200

    def metrics(self) -> dict[str, Metric]:
        """The metrics of the last request, by name."""
        (resource,) = self.requests[-1].resource_metrics
        assert {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}[
            "service.name"
        ] == "brain-eventstream"
        (scope,) = resource.scope_metrics
        return {metric.name: metric for metric in scope.metrics}

    def total(self, name: str) -> float:
        """The sum over all points of a counter, 0 before anything came."""
        if not self.requests:
            return 0
        return sum(point.as_double for point in self.metrics()[name].sum.data_points)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    receiver = Receiver()
    yield receiver
    receiver.close()


async def test_a_collector_gets_what_metrics_shows(receiver: Receiver, tmp_path: Path) -> None:
    sending = {
        "otlp_endpoint": receiver.url,
        "otlp_interval_seconds": 0.2,
        "otlp_headers": {"Authorization": "Bearer t0ken"},
    }
    settings = Settings(
        stream=f"sqlite:///{tmp_path / 'brain.db'}",
        port=0,
        consumers=("metrics",),
        metrics=sending,  # type: ignore[arg-type]
    )
    events = Traffic(1, start=time.time() - 3000, hours=0.5).events(200)
    mitigated = {"threat_id": "thr_x", "severity": "HIGH", "duration_seconds": 5.0}
    meta = {"correlation_id": "story-1", "version": "1.0"}
    events.append(Event(type="threat.mitigated", source="threats_service", payload=mitigated, meta=meta))
    async with running_server(settings) as (server, client):
        for receipt in [server.stream.publish(event) for event in events]:
            await receipt
        await until(lambda: receiver.total("brain_events") >= len(events))
        shown = (await client.get("/metrics", headers={"Accept": "text/plain"})).text
    assert receiver.refused == 1, "the refusal of the first request did not end it"
    assert receiver.headers[-1]["authorization"] == "Bearer t0ken"
    assert receiver.headers[-1]["content-type"] == "application/x-protobuf"
    assert "t0ken" not in repr(settings)

    metrics = receiver.metrics()
    events_metric = metrics["brain_events"].sum
    assert events_metric.is_monotonic
    assert events_metric.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    for point in events_metric.data_points:
        (label,) = point.attributes
        assert f'brain_events_total{{type="{label.value.string_value}"}} {point.as_double}' in shown
    assert metrics["brain_health_score"].gauge.data_points[0].as_double <= 100

    stages = metrics["brain_threat_stage_seconds"]
    assert stages.unit == "s"
    assert stages.histogram.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    (point,) = (point for point in stages.histogram.data_points if point.attributes[0].value.string_value == "mitigate")
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert sum(point.bucket_counts) == point.count > 0
    assert f'brain_threat_stage_seconds_count{{stage="mitigate"}} {float(point.count)}' in shown
    assert not point.HasField("min")
    stories = {
        attribute.value.string_value for exemplar in point.exemplars for attribute in exemplar.filtered_attributes
    }
    assert "story-1" in stories


async def test_without_the_extra_it_is_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    monkeypatch.delitem(sys.modules, "brain.metrics.otlp", raising=False)
    monkeypatch.delattr("brain.metrics.otlp", raising=False)
    sending = {"otlp_endpoint": "http://127.0.0.1:1/v1/metrics"}
    with pytest.raises(InvalidInput, match=r"brain-eventstream\[otlp\]"):
        async with running_server(Settings(stream="memory://", port=0, metrics=sending)):  # type: ignore[arg-type]
            raise AssertionError("it must not start")


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        load_settings(metrics={"otlp_endpoint": "collector:4318"})
    assert "metrics" in str(caught.value.faults)
