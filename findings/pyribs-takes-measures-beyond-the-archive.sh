#!/usr/bin/env bash
# Guess: a GridArchive of pyribs with ranges (0, 1) refuses a solution whose measure is 99, or leaves it out.
# Truth: it goes to the cell at the edge, and when its objective is better it drives the good solution of that cell out. The archive then
# answers "best for 0.95" with the one of 99.
# Why it matters: who evolves controllers over speed or energy gets as elite for the limit what breaks the limit by far (the outliers score
# best). Check measures before add.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q ribs==0.12.0
cat >ask.py <<'P'
from ribs.archives import GridArchive

archive = GridArchive(solution_dim=1, dims=[10], ranges=[(0, 1)])
archive.add_single([1.0], 5.0, [0.95])
archive.add_single([2.0], 6.0, [99.0])
_, best = archive.retrieve_single([0.95])
print(len(archive), *best["solution"], *best["measures"])
P
seen=$(v/bin/python ask.py)
echo "ribs 0.12.0, cells in use, solution and measure that stand for 0.95: $seen"
[ "$seen" = "1 2.0 99.0" ]
