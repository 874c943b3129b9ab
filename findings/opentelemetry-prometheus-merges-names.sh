#!/usr/bin/env bash
# Guess: OpenTelemetry's Prometheus exporter keeps attributes and instruments apart whose names become equal, or says so.
# Truth: of `robot.id` and `robot_id` on one point one value is written, the other is gone; counters `calls` and `calls_total`,
# or `queue.size` and `queue_size`, give the same series twice on one page with two values. No log line.
# Why it matters: Prometheus takes one sample for each series and time: the other instrument is lost, or stands in for the first
# on a dashboard, and a label names the wrong robot. Use one way of writing names, and look at the page for equal lines.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q opentelemetry-exporter-prometheus==0.66b2 opentelemetry-sdk==1.45.2 prometheus-client==0.26.0
cat >ask.py <<'P'
import logging

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, generate_latest

lines = []


class Keep(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())


logging.getLogger().addHandler(Keep())
meter = MeterProvider([PrometheusMetricReader()]).get_meter("fleet")
meter.create_counter("moves").add(1, {"robot.id": "x", "robot_id": "y"})
meter.create_counter("calls").add(1)
meter.create_counter("calls_total").add(7)
meter.create_gauge("queue.size").set(2)
meter.create_gauge("queue_size").set(3)
page = generate_latest(REGISTRY).decode().splitlines()


def values(name):
    found = [line for line in page if line.startswith(name + "{")]
    assert len({line.rsplit(" ", 1)[0] for line in found}) == 1, found
    return " and ".join(line.rsplit(" ", 1)[1] for line in found)


[moves] = [line for line in page if line.startswith("moves_total{")]
which = ("x" if '"x"' in moves else "") + ("y" if '"y"' in moves else "")
print(f"moves of robot_id={which} only; calls_total {values('calls_total')}; queue_size {values('queue_size')}; log lines {len(lines)}")
P
seen=$(v/bin/python ask.py)
echo "opentelemetry-exporter-prometheus 0.66b2: $seen"
[ "$seen" = "moves of robot_id=y only; calls_total 1.0 and 7.0; queue_size 2.0 and 3.0; log lines 0" ]
