#!/usr/bin/env bash
# Guess: a gauge that was set for a robot fades when nobody sets it any more, as an observable gauge does.
# Truth: create_gauge exports the last value of each set of attributes, with a new time, while the process lives. No call
# removes one; delta temporality for `_Gauge`, a private name, does, but OTLP's preference "delta" does not ask so.
# Why it matters: the battery of a robot that is gone stays at 80 % in every dashboard, and alerts on missing data never fire.
# Use observable gauges that report those which are there.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q opentelemetry-sdk==1.45.2
cat >ask.py <<'P'
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider, _Gauge
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader


def robots(temporality):
    reader = InMemoryMetricReader(preferred_temporality=temporality)
    meter = MeterProvider([reader]).get_meter("fleet")
    there = ["r1", "r2"]
    meter.create_observable_gauge("observable", [lambda _: [Observation(80, {"robot": robot}) for robot in there]])
    gauge = meter.create_gauge("gauge")
    for robot in there:
        gauge.set(80, {"robot": robot})
    reader.get_metrics_data()
    there.remove("r2")
    gauge.set(79, {"robot": "r1"})
    metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    names = {metric.name: sorted(point.attributes["robot"] for point in metric.data.data_points) for metric in metrics}
    return f"gauge {names['gauge']}, observable {names['observable']}"


print(f"{robots({})}; with delta for _Gauge: {robots({_Gauge: AggregationTemporality.DELTA})}")
P
seen=$(v/bin/python ask.py)
echo "opentelemetry-sdk 1.45.2, robots exported after r2 left: $seen"
[ "$seen" = "gauge ['r1', 'r2'], observable ['r1']; with delta for _Gauge: gauge ['r1'], observable ['r1']" ]
