#!/usr/bin/env bash
# Guess: in a STIX pattern, [A] AND [B] WITHIN 30 SECONDS asks for A and B within 30 seconds of each other.
# Truth: a qualifier binds to the observation right before it: A and B an hour apart match. Only ([A] AND [B]) WITHIN 30 SECONDS
# means both. REPEATS 2 TIMES is met by one observed-data object that says number_observed 2.
# Why it matters: indicators that look like a correlation in a window have none. Put the parentheses in, and test with a pair
# that lies too far apart.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q stix2-matcher==3.0.0 stix2-patterns==2.1.2
cat >ask.py <<'P'
from stix2matcher.matcher import match


def observed(n, time, count=1):
    head = {"type": "observed-data", "spec_version": "2.1", "id": "observed-data--b67d30ff-02ac-498a-92f9-32f845f448cf"}
    times = dict.fromkeys(("created", "modified", "first_observed", "last_observed"), f"2026-01-01T{time}:00Z")
    return {**head, **times, "number_observed": count, "objects": {"0": {"type": "x-login", "n": n}}}


pair = [observed(1, "00:00"), observed(2, "01:00")]
print(
    bool(match("[x-login:n = 1] AND [x-login:n = 2] WITHIN 30 SECONDS", pair)),
    bool(match("([x-login:n = 1] AND [x-login:n = 2]) WITHIN 30 SECONDS", pair)),
    bool(match("[x-login:n = 1] REPEATS 2 TIMES", [observed(1, "00:00", count=2)])),
)
P
seen=$(v/bin/python ask.py)
echo "stix2-matcher 3.0.0: $seen"
[ "$seen" = "True False True" ]
