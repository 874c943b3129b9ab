"""The metrics that users define as families for `/metrics` and OTLP: `brain_defined_NAME`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from sqlalchemy import Connection, select

from brain.metrics import series, tables
from brain.metrics.compiled import CompiledMetric, Epoch, split_label
from brain.metrics.defined_rows import DefinedRow
from brain.metrics.epochs import active_epochs
from brain.metrics.kinds import MetricKind
from brain.metrics.series import INFINITY

PREFIX = "brain_defined_"


def defined_metrics(connection: Connection) -> Iterator[Metric]:
    """A family for each metric, with its totals since it counts; of gauges the last values."""
    epochs = active_epochs(connection)
    if not epochs:
        return
    table = tables.defined.c
    rows: defaultdict[int, dict[str, DefinedRow]] = defaultdict(dict)
    metrics = {epoch.id: CompiledMetric(epoch) for epoch in epochs}
    query = select(table.epoch, table.label, *tables.FIGURES).where(
        table.step == series.TOTAL, table.epoch.in_(list(metrics))
    )
    for epoch_id, label, *figures in connection.execute(query.order_by(table.epoch, table.label)):
        rows[epoch_id][label] = metrics[epoch_id].empty_row().fill(figures)
    for epoch in epochs:
        yield _family(epoch, rows[epoch.id])


def _family(epoch: Epoch, rows: dict[str, DefinedRow]) -> Metric:
    definition = epoch.definition
    name, meaning, labels = PREFIX + epoch.name, definition.help or f"Defined: {epoch.name}", list(definition.labels)
    scale = 10**definition.decimals
    found = [([*split_label(definition, label).values()], row) for label, row in rows.items()]
    if definition.kind is MetricKind.COUNTER:
        counter = CounterMetricFamily(name.removesuffix("_total"), meaning, labels=labels)
        for values, row in found:
            counter.add_metric(values, row.sum / scale)
        return counter
    if definition.kind is MetricKind.GAUGE:
        gauge = GaugeMetricFamily(name, meaning, labels=labels)
        for values, row in found:
            if row.last is not None:
                gauge.add_metric(values, row.last, timestamp=None)
        return gauge
    histogram = HistogramMetricFamily(name, meaning, labels=labels)
    bounds = [*map(repr, definition.bounds), INFINITY]
    for values, row in found:
        cumulated, buckets = 0, []
        for bound, count in zip(bounds, row.bins or [0] * len(bounds), strict=True):
            cumulated += count
            buckets.append((bound, cumulated))
        histogram.add_metric(values, buckets, row.sum / scale)
    return histogram
