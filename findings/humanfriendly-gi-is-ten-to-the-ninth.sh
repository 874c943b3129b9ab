#!/usr/bin/env bash
# Guess: humanfriendly.parse_size reads 512Mi and 1Gi as Kubernetes does, by powers of 1024, or refuses them.
# Truth: 512Mi is 512000000 and 1Gi is 1000000000, as M and G: only with the B (512MiB) is it binary. And parse_timespan("1y")
# is 364 days.
# Why it matters: memory limits that are copied from a manifest are 5 to 7 % too low, so that a process is stopped within its
# allowance; a year of retention ends a day early. Add the B, and write years in days.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q humanfriendly==10.0
cat >ask.py <<'P'
from humanfriendly import parse_size, parse_timespan

print(", ".join(f"{text} {parse_size(text)}" for text in ("512Mi", "512MiB", "1Gi")), end=", ")
print(f"1y {parse_timespan('1y') / 86400:.0f} days")
P
seen=$(v/bin/python ask.py)
echo "humanfriendly 10.0: $seen"
[ "$seen" = "512Mi 512000000, 512MiB 536870912, 1Gi 1000000000, 1y 364 days" ]
