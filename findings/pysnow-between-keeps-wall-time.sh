#!/usr/bin/env bash
# Guess: pysnow's query builder treats an aware datetime the same way in all of its time conditions.
# Truth: greater_than and less_than convert to UTC; between drops the zone and writes the wall time, so that noon at +02:00 is
# 10:00 in one condition and 12:00 in the other.
# Why it matters: a connector that asks ServiceNow for "the last window" by between misses or doubles tickets by the offset.
# Convert to UTC before, or use the two single conditions.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pysnow==0.7.17
cat >ask.py <<'P'
import re
from datetime import datetime, timedelta, timezone

from pysnow import QueryBuilder

start = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
queries = QueryBuilder().field("a").greater_than(start), QueryBuilder().field("a").between(start, start + timedelta(days=1))
print(*(re.search(r"\d\d:\d\d", str(query))[0] for query in queries))
P
seen=$(v/bin/python -W ignore ask.py)
echo "pysnow 0.7.17, noon at +02:00 in greater_than and in between: $seen"
[ "$seen" = "10:00 12:00" ]
