"""The metrics of telemetry for `/metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from brain.telemetry.service import Telemetry


def telemetry_metrics(telemetry: Telemetry) -> Sequence[Metric]:
    """What this process has taken in since its start."""
    ingest, sources = telemetry.ingest, telemetry.sources
    requests = CounterMetricFamily(
        "brain_telemetry_requests", "Requests of OTLP, by signal and status", labels=["signal", "status"]
    )
    for (signal, status), count in sorted(ingest.answers.items()):
        requests.add_metric([signal, str(status)], count)
    items = CounterMetricFamily(
        "brain_telemetry_items", "Spans, data points and log records that came in", labels=["signal"]
    )
    for signal, count in sorted(ingest.items.items()):
        items.add_metric([signal], count)
    counters = (
        ("spans_refused", "Spans without valid ids", ingest.refused),
        ("calls_repeated", "Calls that came again and were counted once", telemetry.book.repeated),
        ("samples", "Samples of sources that were stored", sources.samples),
        ("connections_twice", "Connections of sources that were live already", sources.twice),
        ("samples_malformed", "Messages of sources that were no samples", sources.malformed),
        ("samples_dropped", "Samples that followers were too slow for", telemetry.followers.dropped),
        ("transactions", "Transactions that stored telemetry", telemetry.committer.transactions),
        ("overloads", "Requests that found too much waiting", telemetry.committer.refused),
        ("failures", "Requests that could not be stored for no reason of their sender", telemetry.committer.failed),
    )
    found: list[Metric] = [requests, items]
    found += [CounterMetricFamily(f"brain_telemetry_{name}", words, count) for name, words, count in counters]
    if (forwarding := telemetry.forwarding) is not None:
        found += [
            CounterMetricFamily("brain_telemetry_forwarded", "Requests that the backend took", forwarding.sent),
            CounterMetricFamily("brain_telemetry_not_forwarded", "Requests it did not get", forwarding.dropped),
            CounterMetricFamily(
                "brain_telemetry_content_bytes", "Bytes of prompts and answers taken out", forwarding.content_bytes
            ),
            GaugeMetricFamily("brain_telemetry_forward_waiting_bytes", "Bytes that wait", forwarding.waiting_bytes),
        ]
    found.append(GaugeMetricFamily("brain_telemetry_connections", "Connections of sources that are open", sources.open))
    return found
