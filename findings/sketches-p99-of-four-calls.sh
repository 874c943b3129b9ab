#!/usr/bin/env bash
# Guess: quantile sketches differ by their promised error only: of 1, 2, 3 and 100 ms, p99 is about 100.
# Truth: ddsketch says 3 (it takes the lower neighbour: of few values only q=1 reaches the largest), hdrhistogram and tdigest
# say 100; and tdigest also goes below the smallest value: p1 of 10 and 20 is 5.2.
# Why it matters: p99 over a short window of few calls, as alerts on one agent use it, hides the one bad call in one library and
# shows it in another; a chart may show a latency that no call had. Compare maxima.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q ddsketch==3.0.1 tdigest==0.5.2.2 hdrhistogram==0.10.8
cat >ask.py <<'P'
from ddsketch import DDSketch
from hdrh.histogram import HdrHistogram
from tdigest import TDigest

dd, td, hdr = DDSketch(0.01), TDigest(), HdrHistogram(1, 1000, 3)
for value in (1, 2, 3, 100):
    dd.add(value)
    td.update(value)
    hdr.record_value(value)
low = TDigest()
low.update(10)
low.update(20)
p99 = (dd.get_quantile_value(0.99), td.percentile(99), hdr.get_value_at_percentile(99))
print("p99", *(f"{value:.0f}" for value in p99), end="; ")
print(f"tdigest p1 of 10 and 20: {low.percentile(1):.1f}")
P
seen=$(v/bin/python ask.py)
echo "ddsketch 3.0.1, tdigest 0.5.2.2, hdrhistogram 0.10.8: $seen"
[ "$seen" = "p99 3 100 100; tdigest p1 of 10 and 20: 5.2" ]
