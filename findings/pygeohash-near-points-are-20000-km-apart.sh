#!/usr/bin/env bash
# Guess: geohash_approximate_distance of pygeohash is about right, or off by the size of a cell at most.
# Truth: it looks at the common beginning of the two hashes only. Two points 1.4 m apart on both sides of the Greenwich meridian
# have none: 20,000 km. It is the same, less grossly, at each border of cells.
# Why it matters: "robots within 50 m of each other" and joins by distance miss pairs that stand side by side, always at the
# same places. Use geohash_haversine_distance, or compare with the neighbouring cells.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pygeohash==3.5.1
cat >ask.py <<'P'
import pygeohash

west, east = pygeohash.encode(51.4779, -0.00001), pygeohash.encode(51.4779, 0.00001)
near = pygeohash.geohash_haversine_distance(west, east)
print(f"approximate {pygeohash.geohash_approximate_distance(west, east)}, haversine {near:.1f}")
P
seen=$(v/bin/python ask.py)
echo "pygeohash 3.5.1, metres: $seen"
[ "$seen" = "approximate 20000000, haversine 1.4" ]
