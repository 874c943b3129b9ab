#!/usr/bin/env bash
# Guess: a Point of influxdb-client with a NaN raises or writes a gap, and time(1700000000) is a day of 2023.
# Truth: NaN and infinite fields are left out, and a point that has no other field becomes an empty line, with no error or log;
# empty tags are left out too. A whole number as time is nanoseconds unless a precision is given: 1.7 seconds after 1970.
# Why it matters: a sensor that fails with NaN looks like one that is off, points of a robot with an empty name join another
# series, and a whole fleet's data lies in 1970 beyond each retention. Check before writing, and give times as datetimes.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q influxdb-client==1.50.0
cat >ask.py <<'P'
import math
from datetime import datetime, timezone

from influxdb_client import Point

line = Point("power").tag("robot", "").field("amps", math.nan).field("volts", 24.1).time(1_700_000_000).to_line_protocol()
alone = Point("power").tag("robot", "r1").field("amps", math.nan).to_line_protocol()
moment = datetime.fromtimestamp(int(line.split()[-1]) / 1e9, timezone.utc)
print(repr(line), repr(alone), repr(f"{moment:%Y-%m-%d %H:%M:%S}"))
P
seen=$(v/bin/python -W ignore ask.py)
echo "influxdb-client 1.50.0: $seen"
[ "$seen" = "'power volts=24.1 1700000000' '' '1970-01-01 00:00:01'" ]
