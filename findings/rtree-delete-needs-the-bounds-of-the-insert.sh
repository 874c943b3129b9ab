#!/usr/bin/env bash
# Guess: Index.delete(id, bounds) of rtree removes the entry with that id, or raises when there is none at these bounds.
# Truth: with bounds other than those of the insert it does nothing and says nothing; a second insert of the same id then makes
# a second entry, and both are found.
# Why it matters: who moves a robot by delete(id, where it is now) and insert leaves a ghost at each place where it has been:
# zones look occupied, nearest() finds robots that left. Remember the bounds that were inserted.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q rtree==1.4.1
cat >ask.py <<'P'
from rtree import index

floor = index.Index()
floor.insert(7, (0, 0, 1, 1))
moved = (5, 5, 6, 6)
floor.delete(7, moved)
floor.insert(7, moved)
print(f"robots near the old place {list(floor.intersection((0, 0, 1, 1)))}, count {floor.count((0, 0, 9, 9))}")
P
seen=$(v/bin/python ask.py)
echo "rtree 1.4.1: $seen"
[ "$seen" = "robots near the old place [7], count 2" ]
