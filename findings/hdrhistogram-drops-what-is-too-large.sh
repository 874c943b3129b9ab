#!/usr/bin/env bash
# Guess: record_value of hdrhistogram raises for a value above the histogram's highest one, or counts it in the last bucket.
# Truth: it returns False and drops the value: count, maximum and percentiles know nothing of it. record_value(0) is kept.
# Why it matters: a histogram of latencies up to 10 s that meets a call of 60 s looks better than before, and so do alerts on
# p99.9. Check the answer of each record_value and count the misses, or record min(value, highest).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q hdrhistogram==0.10.8
cat >ask.py <<'P'
from hdrh.histogram import HdrHistogram

histogram = HdrHistogram(1, 10_000, 3)
answers = [histogram.record_value(value) for value in (5, 9, 60_000)]
print("answers", *answers, end=", ")
print(f"count {histogram.get_total_count()}, p99.9 {histogram.get_value_at_percentile(99.9):.0f}")
P
seen=$(v/bin/python ask.py)
echo "hdrhistogram 0.10.8, highest 10000: $seen"
[ "$seen" = "answers True True False, count 2, p99.9 9" ]
