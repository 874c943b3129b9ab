#!/usr/bin/env bash
# Guess: the STIX 2.1 library refuses values that the standard forbids: a confidence beyond 0 to 100, an address that is none.
# Truth: it checks a sighting's count and the order of times, and takes a confidence of 101 or -1 and an IPv4 address "gateway";
# the serialised object is then refused by whoever validates it.
# Why it matters: threats handed to a threat intelligence platform as STIX must be checked by ourselves before they are sent.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q stix2==3.0.2
cat >ask.py <<'P'
from stix2 import Identity, Indicator, IPv4Address, Sighting

pattern = {"pattern": "[ipv4-addr:value = '192.0.2.1']", "pattern_type": "stix"}
high, low = (Indicator(**pattern, confidence=value).confidence for value in (101, -1))
try:
    Sighting(sighting_of_ref=Identity(name="a").id, count=-1)
    count = "accepted"
except Exception:
    count = "refused"
print(high, low, IPv4Address(value="gateway").value, count)
P
seen=$(v/bin/python ask.py)
echo "stix2 3.0.2: $seen"
[ "$seen" = "101 -1 gateway refused" ]
