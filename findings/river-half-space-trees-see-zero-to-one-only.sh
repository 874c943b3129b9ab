#!/usr/bin/env bash
# Guess: HalfSpaceTrees of river scores a value far from all that it has learned as an anomaly, whatever the feature's scale.
# Truth: it looks between 0 and 1 unless `limits` are given: taught around 40, it gives 40, 60 and 500 the score 0.0. Scaled,
# all scores are 0 until 250 values were learned, and a missing feature scores as the usual value.
# Why it matters: a detector of temperatures or latencies never fires, and its scores of 0 look like health; a sensor that stops
# sending a field does so too. Put a scaler before it or limits on it, and alert on missing fields apart.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q river==0.26.1
cat >ask.py <<'P'
import random

from river.anomaly import HalfSpaceTrees

noise = random.Random(0)
raw, scaled = HalfSpaceTrees(seed=1), HalfSpaceTrees(seed=1)
for _ in range(1000):
    raw.learn_one({"t": noise.gauss(40, 1)})
far = []
for step in range(1, 601):
    scaled.learn_one({"t": noise.gauss(0.4, 0.01)})
    if step in (249, 250):
        far.append(round(scaled.score_one({"t": 0.95}), 1))
print("taught around 40, scores of 40, 60, 500:", *(round(raw.score_one({"t": value}), 1) for value in (40, 60, 500)), end="; ")
print(f"scaled, far value after 249: {far[0]}, 250: {far[1]}", end="; ")
print(f"usual {scaled.score_one({'t': 0.4}):.1f}, missing {scaled.score_one({}):.1f}")
P
seen=$(v/bin/python ask.py)
echo "river 0.26.1: $seen"
[ "$seen" = "taught around 40, scores of 40, 60, 500: 0.0 0.0 0.0; scaled, far value after 249: 0, 250: 1.0; usual 0.4, missing 0.4" ]
