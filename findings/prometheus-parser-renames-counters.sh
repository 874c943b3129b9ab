#!/usr/bin/env bash
# Guess: the parser of prometheus_client gives the samples the names that stand in the text of /metrics.
# Truth: a counter without _total at its end, which the text format allows and older exporters write, gets one: `x 1` becomes
# the sample x_total, `x_count 1` becomes x_count_total. Times come in seconds, where the text has milliseconds.
# Why it matters: what reads a target through the parser (a check, a bridge, a test) looks for the name on the page and finds
# nothing, while Prometheus itself keeps the name: rules and dashboards of both never meet. Look under both names.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q prometheus-client==0.26.0
cat >ask.py <<'P'
from prometheus_client.parser import text_string_to_metric_families

TEXT = """# TYPE x counter
x 1
# TYPE x_count counter
x_count 1
# TYPE y gauge
y 1 1700000000000
"""
counter, count, gauge = (family.samples[0] for family in text_string_to_metric_families(TEXT))
print(f"{counter.name}, {count.name}, gauge {gauge.name}, time {gauge.timestamp}")
P
seen=$(v/bin/python ask.py)
echo "prometheus-client 0.26.0: $seen"
[ "$seen" = "x_total, x_count_total, gauge y, time 1700000000.0" ]
