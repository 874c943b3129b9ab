#!/usr/bin/env bash
# Guess: the package uuid7 makes UUIDs of version 7 as RFC 9562 has them, in one order with those of other packages.
# Truth: it follows an older draft: 4096 steps a second in front instead of milliseconds. Read by the RFC its ids of 2026 are of
# the year 2203, though they say version 7, and they sort behind all others.
# Why it matters: two services of which one uses it have ids with no common order: cursors, "newest first" and partitions by id
# go wrong, and a time that is read out of an id is nonsense. Use uuid6 or uuid-utils.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q uuid7==0.1.0 uuid6==2025.0.1 uuid-utils==1.2.0
cat >ask.py <<'P'
import time

import uuid6
import uuid_utils
from uuid_extensions import uuid7


def steps(one):
    return f"{one.version} {(int(one) >> 80) / time.time():.0f}"


print(f"uuid7 {steps(uuid7())}, uuid6 {steps(uuid6.uuid7())}, uuid-utils {steps(uuid_utils.uuid7())}")
P
seen=$(v/bin/python ask.py)
echo "uuid7 0.1.0, uuid6 2025.0.1, uuid-utils 1.2.0, version and steps a second: $seen"
[ "$seen" = "uuid7 7 4096, uuid6 7 1000, uuid-utils 7 1000" ]
