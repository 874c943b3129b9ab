"""Sends the metric families by OTLP over HTTP, as https://opentelemetry.io/docs/specs/otlp/#otlphttp describes it.

Names stay those of `/metrics`; seconds are written as the unit `s`. Counters and histograms are cumulative. Their start
time is left unknown (0), because they began before this process. Needs the extra `otlp`; imported only when the setting
asks for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import cast

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    DataT,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.core import Metric as Family
from prometheus_client.samples import Sample

from brain import __version__
from brain.kit.database_threads import for_tasks
from brain.logs import Log
from brain.metrics.prometheus import stored_metrics
from brain.metrics.settings import MetricsSettings
from brain.plugins import PluginContext
from brain.stream.prometheus import stream_metrics

log: Log = Log("brain.otlp")

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_UNITS = {"seconds": "s"}
_TIMEOUT = 10.0
"""Seconds that one sending, with its retries, may take."""


async def export(context: PluginContext, clock: Callable[[], float] = time.time) -> None:
    """Send every family to the endpoint of the settings at the interval of the settings, until cancelled.

    A sending that fails is logged. The next one makes up for it, because all figures are cumulative.
    """
    settings = context.table(MetricsSettings)
    exporter = _exporter(settings)
    failed = 0
    try:
        while True:
            found = await stream_metrics(context.stream)
            found += await for_tasks(context.database, stored_metrics, context.database, settings, clock)
            result = await asyncio.to_thread(exporter.export, as_otlp(found, clock()))
            if result is not MetricExportResult.SUCCESS:
                failed += 1
                log.warning("metrics not sent, trying again", endpoint=settings.otlp_endpoint, failed=failed)
            await asyncio.sleep(settings.otlp_interval_seconds)
    finally:
        exporter.shutdown()


def _exporter(settings: MetricsSettings) -> OTLPMetricExporter:
    headers = {name: secret.reveal() for name, secret in settings.otlp_headers.items()}
    return OTLPMetricExporter(endpoint=settings.otlp_endpoint, headers=headers, timeout=_TIMEOUT)


def as_otlp(found: Iterable[Family], now: float) -> MetricsData:
    """The families as of `now` (Unix seconds) in OTLP's data model."""
    release = __version__
    resource = Resource({"service.name": "brain-eventstream", "service.version": release})
    at = _nanoseconds(now)
    metrics = [
        Metric(family.name, family.documentation, _UNITS.get(family.unit, family.unit), _data(family, at))
        for family in found
        if family.samples
    ]
    scope = ScopeMetrics(InstrumentationScope("brain", release), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _data(family: Family, now: int) -> DataT:
    if family.type == "histogram":
        lines: defaultdict[tuple[tuple[str, str], ...], list[Sample]] = defaultdict(list)
        for sample in family.samples:
            lines[tuple(label for label in sample.labels.items() if label[0] != "le")].append(sample)
        return Histogram([_histogram_point(dict(labels), line, now) for labels, line in lines.items()], _CUMULATIVE)
    points = [
        NumberDataPoint(sample.labels, 0, now, float(sample.value), _exemplars([sample])) for sample in family.samples
    ]
    return Sum(points, _CUMULATIVE, True) if family.type == "counter" else Gauge(points)


def _histogram_point(labels: dict[str, str], line: Sequence[Sample], now: int) -> HistogramDataPoint:
    buckets = [sample for sample in line if sample.name.endswith("_bucket")]
    cumulated = [0, *(int(sample.value) for sample in buckets)]
    unknown = cast(float, None)  # least and most are optional in the protocol, and not kept
    return HistogramDataPoint(
        attributes=labels,
        start_time_unix_nano=0,
        time_unix_nano=now,
        count=cumulated[-1],
        sum=next(sample.value for sample in line if sample.name.endswith("_sum")),
        bucket_counts=[after - before for before, after in pairwise(cumulated)],
        explicit_bounds=[float(sample.labels["le"]) for sample in buckets[:-1]],
        min=unknown,
        max=unknown,
        exemplars=_exemplars(buckets),
    )


def _exemplars(line: Sequence[Sample]) -> list[Exemplar]:
    return [
        Exemplar(example.labels, example.value, _nanoseconds(float(example.timestamp or 0)))
        for example in (sample.exemplar for sample in line)
        if example is not None
    ]


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
