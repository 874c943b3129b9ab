#!/usr/bin/env bash
# Guess: the sketches of Apache DataSketches count 1, 1.0 and True as one distinct value, as Python does, and "" as a value.
# Truth: 1 and 1.0 are two (True is 1), 0 and 0.0 are one; the empty text is passed over; integers from 2**63 on are taken as
# floats, so that 2**70 and 2**70 + 1 are one. HLL, theta and CPC agree.
# Why it matters: ids that pass through JSON or pandas become floats on one side, and the same agents count twice or do not
# intersect; neighbouring ids of 128 bits are one. Turn each value into a text first, and give the empty one a mark.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q datasketches==5.2.0 numpy==2.4.6
cat >ask.py <<'P'
from datasketches import cpc_sketch, hll_sketch, update_theta_sketch


def distinct(values):
    counts = set()
    for sketch in (hll_sketch(12), update_theta_sketch(), cpc_sketch()):
        for value in values:
            sketch.update(value)
        counts.add(round(sketch.get_estimate()))
    [count] = counts
    return count


cases = ("[1, 1.0]", "[0, 0.0]", "[True, 1]", "['']", "[2**70, 2**70 + 1]")
print(", ".join(f"{case}: {distinct(eval(case))}" for case in cases))
P
seen=$(v/bin/python ask.py)
echo "datasketches 5.2.0, distinct values: $seen"
[ "$seen" = "[1, 1.0]: 2, [0, 0.0]: 1, [True, 1]: 1, ['']: 0, [2**70, 2**70 + 1]: 1" ]
